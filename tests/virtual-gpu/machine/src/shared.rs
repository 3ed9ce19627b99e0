//! The accounting file: its layout, its mapping, its lock.
//!
//! The lock is a robust pthread mutex inside the file: cheap where nobody contends, and the
//! kernel hands it on when its owner is killed. That needs no repair afterwards, because every
//! number in the file is one word that only its own process writes.

use std::cell::UnsafeCell;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::MAX_DEVICES;
use crate::holds::{self, HOLDS, Hold, KEPT, Kept};

/// Processes that can hold memory at the same time.
pub const SLOTS: usize = 256;

/// Layout number and signature in one; a file that starts otherwise is made anew.
const MAGIC: u64 = 0x7667_7075_0000_0002;

/// What one process holds. A slot with `pid` 0 is free.
#[repr(C)]
pub struct Slot {
    pub pid: AtomicU64,
    pub start: AtomicU64,
    pub used: [AtomicU64; MAX_DEVICES],
}

/// The whole file.
#[repr(C)]
pub struct Layout {
    magic: AtomicU64,
    /// Number of cards; decided by the first living process.
    pub devices: AtomicU64,
    /// Bytes of each card; decided by the first living process.
    pub total: AtomicU64,
    lock: UnsafeCell<libc::pthread_mutex_t>,
    pub slots: [Slot; SLOTS],
    pub holds: [Hold; HOLDS],
    pub kept: [Kept; KEPT],
}

/// The file, mapped for as long as the process lives.
pub struct Shared {
    layout: &'static Layout,
}

// SAFETY: all of the layout is atomics except the mutex, which is made to be used by any thread.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

/// Held lock; dropping it unlocks.
pub struct Guard<'a> {
    shared: &'a Shared,
}

impl Shared {
    /// Opens the file, and makes it where it is missing or of another layout.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)?;
        // Held only while the file is looked at and made. Given back by name, not by closing: a
        // child that another thread forked in between has a copy of the descriptor, and of the lock.
        flock(&file, libc::LOCK_EX)?;
        let shared = Self::open_locked(&file);
        flock(&file, libc::LOCK_UN)?;
        shared
    }

    fn open_locked(file: &File) -> io::Result<Self> {
        let size = size_of::<Layout>() as u64;
        if file.metadata()?.len() != size {
            file.set_len(0)?;
            file.set_len(size)?;
        }
        let shared = Self { layout: map(file)? };
        if shared.layout.magic.load(Relaxed) != MAGIC {
            shared.make()?;
        }
        Ok(shared)
    }

    fn make(&self) -> io::Result<()> {
        for slot in &self.layout.slots {
            slot.pid.store(0, Relaxed);
        }
        holds::clear(self.layout);
        let mut attributes = std::mem::MaybeUninit::<libc::pthread_mutexattr_t>::uninit();
        let attributes = attributes.as_mut_ptr();
        // SAFETY: the pointer is to room for the attributes; init makes them valid.
        check(unsafe { libc::pthread_mutexattr_init(attributes) })?;
        // SAFETY: initialised above.
        check(unsafe {
            libc::pthread_mutexattr_setpshared(attributes, libc::PTHREAD_PROCESS_SHARED)
        })?;
        // SAFETY: initialised above.
        check(unsafe {
            libc::pthread_mutexattr_setrobust(attributes, libc::PTHREAD_MUTEX_ROBUST)
        })?;
        // SAFETY: the mutex lies in the mapping, and the file lock keeps every other opener out.
        check(unsafe { libc::pthread_mutex_init(self.layout.lock.get(), attributes) })?;
        self.layout.magic.store(MAGIC, Relaxed);
        Ok(())
    }

    /// Waits for the lock. A lock whose owner died is simply taken over.
    pub fn lock(&self) -> Guard<'_> {
        let mutex = self.layout.lock.get();
        // SAFETY: the mutex was made before the file's magic was written.
        let result = unsafe { libc::pthread_mutex_lock(mutex) };
        if result == libc::EOWNERDEAD {
            // SAFETY: this thread owns the mutex now.
            unsafe { libc::pthread_mutex_consistent(mutex) };
        } else {
            assert_eq!(result, 0, "the accounting file's lock is broken");
        }
        Guard { shared: self }
    }

    /// The file's numbers, without the lock: each one is whole, together they may be in motion.
    pub fn layout(&self) -> &Layout {
        self.layout
    }
}

impl std::ops::Deref for Guard<'_> {
    type Target = Layout;

    fn deref(&self) -> &Layout {
        self.shared.layout
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        // SAFETY: a guard exists only while its thread holds the mutex.
        unsafe { libc::pthread_mutex_unlock(self.shared.layout.lock.get()) };
    }
}

fn flock(file: &File, operation: libc::c_int) -> io::Result<()> {
    // SAFETY: a plain system call on an open descriptor.
    match unsafe { libc::flock(file.as_raw_fd(), operation) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn map(file: &File) -> io::Result<&'static Layout> {
    // SAFETY: a new shared mapping; the file is as long as the layout.
    let address = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            size_of::<Layout>(),
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED,
            file.as_raw_fd(),
            0,
        )
    };
    if address == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: page aligned, long enough, never unmapped; any bytes are a valid layout.
    Ok(unsafe { &*address.cast::<Layout>() })
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(result)) }
}
