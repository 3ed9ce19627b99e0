//! Writes the log of calls. Format and guarantees: `tests/virtual-gpu/README.md`.
//!
//! The file is mapped shared and grown ahead of use, so a line costs a copy and no system call,
//! and it is in the file before the call returns, whatever kills the process then. A line counts
//! once its newline stands, and the newline is stored last.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};

/// Address space for the log: room for some hundred million lines.
const WINDOW: usize = 64 << 30;
/// The file grows by this much.
const STEP: usize = 4 << 20;
/// No line is longer.
const LINE: usize = 512;

/// One `key=value` of a line.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    key: &'static str,
    value: u64,
    hex: bool,
}

/// A field written in decimal: sizes, counts, ordinals.
pub fn dec(key: &'static str, value: u64) -> Field {
    Field { key, value, hex: false }
}

/// A field written in hexadecimal: addresses and handles.
pub fn hex(key: &'static str, value: u64) -> Field {
    Field { key, value, hex: true }
}

/// The log of one process.
pub struct CallLog {
    file: File,
    window: *mut u8,
    /// Bytes written.
    len: usize,
    /// Bytes that the file has room for.
    room: usize,
    seq: u64,
}

// SAFETY: the window belongs to this value alone.
unsafe impl Send for CallLog {}

impl CallLog {
    /// Starts the log of the calling process in `folder`: `calls.PID.log`, or `calls.PID.N.log`
    /// where an earlier program with the same process id left one.
    pub fn create(folder: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let pid = std::process::id();
        let mut name = format!("calls.{pid}.log");
        let mut attempt = 0;
        let file = loop {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create_new(true);
            match options.open(folder.join(&name)) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    attempt += 1;
                    name = format!("calls.{pid}.{attempt}.log");
                }
                result => break result?,
            }
        };
        // SAFETY: a new mapping; the part beyond the end of the file is not touched before it grew.
        let window = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                WINDOW,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_NORESERVE,
                file.as_raw_fd(),
                0,
            )
        };
        if window == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the range just mapped. A forked child has no business in its parent's log.
        unsafe { libc::madvise(window, WINDOW, libc::MADV_DONTFORK) };
        Ok(Self { file, window: window.cast(), len: 0, room: 0, seq: 0 })
    }

    /// Writes one line. `result` is the driver's status.
    ///
    /// # Panics
    /// Where the disk is full: a truth with holes would be worse than a test that dies.
    pub fn record(&mut self, name: &str, fields: &[Field], result: i32) {
        let mut line = [0u8; LINE];
        let length = format_line(&mut line, self.seq, name, fields, result);
        self.make_room(length);
        // SAFETY: `make_room` keeps `len + length` inside the file and the window.
        let target = unsafe { self.window.add(self.len) };
        // SAFETY: the line's text without its newline, into that room.
        unsafe { std::ptr::copy_nonoverlapping(line.as_ptr(), target, length - 1) };
        // SAFETY: the last byte of that room.
        let last = unsafe { target.add(length - 1) };
        // SAFETY: as above; an atomic release store cannot be moved before the copy.
        let newline = unsafe { AtomicU8::from_ptr(last) };
        newline.store(b'\n', Ordering::Release);
        self.len += length;
        self.seq += 1;
    }

    fn make_room(&mut self, length: usize) {
        while self.len + length > self.room {
            assert!(self.room + STEP <= WINDOW, "the log of calls is full");
            // SAFETY: a plain system call; it fails where the disk is full.
            let result = unsafe {
                libc::posix_fallocate(self.file.as_raw_fd(), self.room as i64, STEP as i64)
            };
            assert_eq!(result, 0, "no room for the log of calls");
            self.room += STEP;
        }
    }
}

impl Drop for CallLog {
    fn drop(&mut self) {
        // SAFETY: mapped in `create`, with this length.
        unsafe { libc::munmap(self.window.cast(), WINDOW) };
        let _ = self.file.set_len(self.len as u64);
    }
}

/// Writes the line and returns its length, newline included.
fn format_line(
    line: &mut [u8; LINE],
    seq: u64,
    name: &str,
    fields: &[Field],
    result: i32,
) -> usize {
    let mut cursor = io::Cursor::new(&mut line[..]);
    let mut text = || -> io::Result<()> {
        write!(cursor, "{seq} {name} t={} tid={}", now_ns(), thread_id())?;
        for field in fields {
            match field.hex {
                true => write!(cursor, " {}={:#x}", field.key, field.value)?,
                false => write!(cursor, " {}={}", field.key, field.value)?,
            }
        }
        writeln!(cursor, " result={result}")
    };
    text().expect("a line is shorter than its buffer");
    cursor.position() as usize
}

/// `CLOCK_MONOTONIC`, as a tracer beside the driver would read it.
fn now_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: room for one timespec.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

fn thread_id() -> u32 {
    thread_local!(static ID: u32 = {
        // SAFETY: takes nothing and cannot fail.
        unsafe { libc::gettid() as u32 }
    });
    // A thread that is already being torn down has no thread-locals; the log says 0 for it.
    ID.try_with(|id| *id).unwrap_or(0)
}
