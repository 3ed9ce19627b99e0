//! The memory of one card as one process has it: a sparse file, mapped once.
//!
//! ```text
//!   file:   | header: magic, card, owner, size and id of the export at each granule | data: 2 × the card |
//!   memory: ^ map                                                                   ^ addresses given out
//! ```
//!
//! Twice the card's size, because the accounting and not the address space decides what fits. A
//! page takes memory only once it was written; giving a range back punches a hole.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::fs::FileExt;

use machine::ProcessKey;

use crate::ranges::Ranges;

/// The driver gives and takes physical memory in multiples of this.
pub const GRANULE: u64 = 2 << 20;

const MAGIC: u64 = 0x7667_7075_7374_6f72;
/// Where the table of exports starts, and what one entry takes.
const TABLE: u64 = 4096;
const ENTRY: u64 = 16;

/// One card's memory.
pub struct Store {
    file: File,
    map: u64,
    size: u64,
    free: Ranges,
}

/// What another process learns from an exported file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exported {
    /// Machine's index of the card.
    pub device: u64,
    /// Bytes of the export.
    pub size: u64,
    /// The process that owns it, and its own number of it.
    pub owner: ProcessKey,
    pub id: u64,
}

impl Store {
    /// Memory for a card of `total` bytes; `device` is the machine's index of it.
    pub fn new(device: u64, total: u64) -> io::Result<Self> {
        let data = (2 * total).next_multiple_of(GRANULE);
        let header = (TABLE + data / GRANULE * ENTRY).next_multiple_of(GRANULE);
        let size = header + data;
        // SAFETY: the name is a C string.
        let fd = unsafe { libc::memfd_create(c"vgpu-memory".as_ptr(), libc::MFD_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: just opened, and nobody else's.
        let file = unsafe { File::from_raw_fd(fd) };
        file.set_len(size)?;
        let own = ProcessKey::own();
        file.write_all_at(&words([MAGIC, device, own.pid.into(), own.start]), 0)?;
        let map = reserve(size, GRANULE, 0)?;
        place(&file, 0, map, size, true)?;
        // SAFETY: the range just mapped. A forked child may not use the driver, so it need not
        // have its memory either.
        unsafe { libc::madvise(map as *mut _, size as usize, libc::MADV_DONTFORK) };
        let mut free = Ranges::default();
        free.give(header, data, header..size);
        Ok(Self { file, map, size, free })
    }

    /// Takes `size` bytes, a multiple of `GRANULE`, and gives their offset in the file.
    pub fn take(&mut self, size: u64) -> Option<u64> {
        self.free.take(size)
    }

    /// Gives a range back and forgets what stood in it.
    pub fn give(&mut self, offset: u64, size: u64) {
        let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
        // SAFETY: a plain system call on our own file.
        unsafe { libc::fallocate(self.file.as_raw_fd(), mode, offset as i64, size as i64) };
        self.free.give(offset, size, 0..self.size);
    }

    /// Where an offset lies in memory.
    pub fn address(&self, offset: u64) -> u64 {
        self.map + offset
    }

    /// The offset of an address that `address` gave.
    pub fn offset(&self, address: u64) -> u64 {
        address - self.map
    }

    /// The file, to map parts of it elsewhere.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// True if `other` is this very file under another descriptor.
    pub fn is_same(&self, other: &File) -> bool {
        use std::os::unix::fs::MetadataExt;
        let key = |file: &File| file.metadata().map(|data| (data.dev(), data.ino())).ok();
        key(&self.file) == key(other)
    }

    /// Opens the file anew for another process, positioned at `offset`: the position travels with
    /// the descriptor and says which part is meant.
    pub fn export(&self, offset: u64, size: u64, id: u64) -> io::Result<File> {
        self.file.write_all_at(&words([size, id]), entry(offset))?;
        let path = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        let file = File::options().read(true).write(true).open(path)?;
        io::Seek::seek(&mut &file, io::SeekFrom::Start(offset))?;
        Ok(file)
    }
}

/// Reads what `Store::export` wrote: the offset, and what lies there.
pub fn exported(file: &File) -> io::Result<(u64, Exported)> {
    let word = |at: u64| -> io::Result<u64> {
        let mut bytes = [0; 8];
        file.read_exact_at(&mut bytes, at)?;
        Ok(u64::from_ne_bytes(bytes))
    };
    if word(0)? != MAGIC {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let offset = io::Seek::stream_position(&mut &*file)?;
    let owner = ProcessKey { pid: word(16)? as u32, start: word(24)? };
    let (size, id) = (word(entry(offset))?, word(entry(offset) + 8)?);
    Ok((offset, Exported { device: word(8)?, size, owner, id }))
}

fn entry(offset: u64) -> u64 {
    TABLE + offset / GRANULE * ENTRY
}

fn words<const N: usize>(words: [u64; N]) -> Vec<u8> {
    words.map(u64::to_ne_bytes).concat()
}

/// Reserves addresses without memory. `hint` is taken where it is free.
pub fn reserve(size: u64, align: u64, hint: u64) -> io::Result<u64> {
    if hint != 0 && hint.is_multiple_of(align) {
        let fixed = map_nothing(hint, size, libc::MAP_FIXED_NOREPLACE);
        if let Ok(address) = fixed {
            return Ok(address);
        }
    }
    let start = map_nothing(0, size + align, 0)?;
    let aligned = start.next_multiple_of(align);
    release(start, aligned - start);
    release(aligned + size, start + align - aligned);
    Ok(aligned)
}

/// Gives addresses back to the process.
pub fn release(address: u64, size: u64) {
    if size > 0 {
        // SAFETY: a range that this module reserved, and that its user has done with.
        unsafe { libc::munmap(address as *mut _, size as usize) };
    }
}

/// Puts part of a file at an address that was reserved before.
pub fn place(file: &File, offset: u64, address: u64, size: u64, access: bool) -> io::Result<()> {
    let protection = if access { libc::PROT_READ | libc::PROT_WRITE } else { libc::PROT_NONE };
    let flags = libc::MAP_SHARED | libc::MAP_NORESERVE | libc::MAP_FIXED;
    map(address, size, protection, flags, file.as_raw_fd(), offset).map(|_| ())
}

/// Takes what was placed at a range away again; the addresses stay reserved.
pub fn unplace(address: u64, size: u64) -> io::Result<()> {
    map_nothing(address, size, libc::MAP_FIXED).map(|_| ())
}

/// Lets a placed range be used, or not.
pub fn protect(address: u64, size: u64, protection: libc::c_int) -> io::Result<()> {
    // SAFETY: a range that was placed before.
    match unsafe { libc::mprotect(address as *mut _, size as usize, protection) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Private memory of the process, zeroed, a page at a time as it is used.
pub fn anonymous(size: u64) -> io::Result<u64> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    map(0, size, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0)
}

fn map_nothing(address: u64, size: u64, extra: libc::c_int) -> io::Result<u64> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | extra;
    map(address, size, libc::PROT_NONE, flags, -1, 0)
}

fn map(
    address: u64,
    size: u64,
    protection: libc::c_int,
    flags: libc::c_int,
    fd: libc::c_int,
    offset: u64,
) -> io::Result<u64> {
    // SAFETY: only addresses that this module reserved are ever replaced.
    let result = unsafe {
        libc::mmap(address as *mut _, size as usize, protection, flags, fd, offset as i64)
    };
    match result {
        libc::MAP_FAILED => Err(io::Error::last_os_error()),
        mapped => Ok(mapped as u64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_export_says_which_part_of_which_card_it_is() {
        let mut store = Store::new(3, 64 << 20).expect("store");
        let _first = store.take(GRANULE).expect("room");
        let offset = store.take(2 * GRANULE).expect("room");
        let file = store.export(offset, 2 * GRANULE, 9).expect("export");
        assert!(store.is_same(&file));
        let seen = exported(&file).expect("exported");
        let owner = ProcessKey::own();
        assert_eq!(seen, (offset, Exported { device: 3, size: 2 * GRANULE, owner, id: 9 }));
        assert!(exported(&File::open("/proc/self/exe").expect("open")).is_err());
    }

    #[test]
    fn a_range_given_back_is_zero_when_it_is_taken_again() {
        let mut store = Store::new(0, 64 << 20).expect("store");
        let offset = store.take(GRANULE).expect("room");
        let cell = store.address(offset) as *mut u8;
        // SAFETY: the range is mapped and ours.
        unsafe { cell.write(7) };
        store.give(offset, GRANULE);
        assert_eq!(store.take(GRANULE), Some(offset));
        // SAFETY: as above.
        assert_eq!(unsafe { cell.read() }, 0);
    }
}
