//! Tells the process that made the ledger from its forked children.
//!
//! A child inherits the mapping and the recorder's state, but must not write into its parent's
//! file. The cookie lies in a page that the kernel empties in every forked child, however it was
//! forked, so a child is inert from its first instruction on and no fork handler is needed. (The
//! mapping itself stays in the child until it ends or executes something else: unmapping it would
//! be work in a place where nothing may go wrong.)

use core::{
    ptr,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

/// Whether this process is the one that started the recorder.
#[derive(Debug)]
pub struct Cookie(&'static AtomicU64);

const MINE: u64 = 1;

impl Cookie {
    /// A cookie that is valid here; `None` where the kernel (before 4.14) cannot keep one.
    pub fn new() -> Option<Self> {
        const PAGE: usize = 4096;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new anonymous mapping touches no memory in use.
        let page = unsafe { libc::mmap(ptr::null_mut(), PAGE, access, flags, -1, 0) };
        if page == libc::MAP_FAILED {
            return None;
        }
        // SAFETY: the page was mapped above, and only this function knows it.
        if unsafe { libc::madvise(page, PAGE, libc::MADV_WIPEONFORK) } != 0 {
            // SAFETY: as above; nobody refers to the page.
            unsafe { libc::munmap(page, PAGE) };
            return None;
        }
        // SAFETY: the page is readable, writable, zeroed, aligned and never unmapped from here on.
        let word: &'static AtomicU64 = unsafe { &*page.cast() };
        word.store(MINE, Relaxed);
        Some(Self(word))
    }

    /// Whether this is still the process that made the cookie.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.0.load(Relaxed) == MINE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forked_child_does_not_hold_the_cookie() {
        let cookie = Cookie::new().unwrap();
        assert!(cookie.holds());
        // SAFETY: the child makes no call but `_exit`.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // SAFETY: ends the child at once.
            unsafe { libc::_exit(i32::from(cookie.holds())) };
        }
        let mut status = 0;
        // SAFETY: `status` is valid for writing.
        unsafe { libc::waitpid(child, &raw mut status, 0) };
        assert_eq!(status, 0);
        assert!(cookie.holds());
    }
}
