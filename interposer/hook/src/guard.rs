//! Guards that put back what they found: how deep in hooks the thread is, and `errno`.

use core::{
    ptr::NonNull,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use crate::event::Thread;

/// One level of hooks on this thread, left when dropped.
///
/// A hook that runs inside another (the driver calling itself, our own question to the driver, a
/// signal handler) is not the outermost and records nothing: the call was seen already.
pub struct Depth<'a> {
    depth: &'a AtomicU32,
    before: u32,
}

impl Depth<'_> {
    /// Goes one level deeper on the thread whose block this is.
    ///
    /// # Safety
    /// `thread` is the calling thread's block and outlives the guard.
    #[must_use]
    pub unsafe fn enter(thread: NonNull<Thread>) -> Self {
        // SAFETY: the caller's promise; no reference to the block is made.
        let depth = unsafe { &raw mut (*thread.as_ptr()).depth };
        // SAFETY: aligned and valid as above; only this thread and its signal handlers use it.
        let depth = unsafe { AtomicU32::from_ptr(depth) };
        let before = depth.load(Relaxed);
        depth.store(before.wrapping_add(1), Relaxed);
        Self { depth, before }
    }

    /// Whether no other hook is under way on this thread.
    #[must_use]
    pub const fn is_outermost(&self) -> bool {
        self.before == 0
    }
}

impl Drop for Depth<'_> {
    fn drop(&mut self) {
        self.depth.store(self.before, Relaxed);
    }
}

/// The thread's `errno` at its creation, put back when dropped.
pub struct Errno(i32);

impl Errno {
    /// Keeps the present value.
    #[must_use]
    pub fn keep() -> Self {
        // SAFETY: takes no arguments and always succeeds.
        let place = unsafe { libc::__errno_location() };
        // SAFETY: points to the calling thread's `errno`.
        Self(unsafe { *place })
    }
}

impl Drop for Errno {
    fn drop(&mut self) {
        // SAFETY: takes no arguments and always succeeds.
        let place = unsafe { libc::__errno_location() };
        // SAFETY: points to the calling thread's `errno`.
        unsafe { *place = self.0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_level_is_outermost_and_leaving_restores_it() {
        let mut thread = Thread { depth: 0, tid: 0, memo: [0; 7] };
        let thread = NonNull::from(&mut thread);
        for _ in 0..2 {
            // SAFETY: a block of this thread.
            let outer = unsafe { Depth::enter(thread) };
            assert!(outer.is_outermost());
            // SAFETY: as above.
            let inner = unsafe { Depth::enter(thread) };
            assert!(!inner.is_outermost());
        }
    }

    #[test]
    fn errno_comes_back() {
        // SAFETY: always succeeds.
        let errno = unsafe { libc::__errno_location() };
        // SAFETY: this thread's `errno`.
        unsafe { *errno = 7 };
        {
            let _kept = Errno::keep();
            // SAFETY: as above.
            unsafe { *errno = 9 };
        }
        // SAFETY: as above.
        assert_eq!(unsafe { *errno }, 7);
    }
}
