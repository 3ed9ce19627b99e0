//! Guards that put back what they found: how deep in hooks the thread is, and `errno`.

use core::{
    mem::MaybeUninit,
    ptr::{self, NonNull},
    sync::atomic::{
        AtomicU32, AtomicU64,
        Ordering::{Relaxed, Release},
    },
};

use crate::event::Thread;

/// One level of hooks on this thread, left when dropped.
///
/// A hook that runs inside another (the driver calling itself, another interposer calling on, our
/// own question to the driver) is not the outermost and records nothing: the call was seen already.
/// A signal handler's own call in the middle of a hook was not, but nothing tells it from those, so
/// it is not recorded either.
///
/// An exception or a `longjmp` out of a real call leaves the level without dropping it. What shows
/// it is the stack: it grows downwards, so a hook that is as far up as the outermost one, or
/// further, cannot be inside of it, and begins anew. Only a signal handler with a stack of its own
/// can be anywhere. Until a hook is called from that far up, hooks after an exception pass for
/// inner ones: to miss a call is better than to count one twice.
pub struct Depth<'a> {
    depth: &'a AtomicU32,
    outermost: &'a AtomicU64,
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
        // SAFETY: as for `depth`.
        let outermost = unsafe { &raw mut (*thread.as_ptr()).outermost };
        // SAFETY: as for `depth`.
        let outermost = unsafe { AtomicU64::from_ptr(outermost) };
        let here = far_down();
        let mut before = depth.load(Relaxed);
        if before > 0 && here <= outermost.load(Relaxed) && !on_signal_stack() {
            before = 0;
            outermost.store(0, Relaxed);
        }
        // The order is for a signal handler in between: not knowing how far down the outermost
        // hook is, it takes itself for an inner one, whatever else is true.
        depth.store(before.wrapping_add(1), Release);
        if before == 0 {
            outermost.store(here, Release);
        }
        Self { depth, outermost, before }
    }

    /// Whether no other hook is under way on this thread.
    #[must_use]
    pub const fn is_outermost(&self) -> bool {
        self.before == 0
    }
}

impl Drop for Depth<'_> {
    fn drop(&mut self) {
        if self.is_outermost() {
            self.outermost.store(0, Relaxed);
        }
        // For the order see `enter`.
        self.depth.store(self.before, Release);
    }
}

/// How far down the stack the caller is, in bytes from the top of the address space.
#[inline(always)]
fn far_down() -> u64 {
    let here = 0_u8;
    u64::MAX - core::hint::black_box(&raw const here).addr() as u64
}

/// Whether this is a signal handler on a stack of its own; also if that cannot be told.
#[cold]
fn on_signal_stack() -> bool {
    let _errno = Errno::keep();
    let mut stack = MaybeUninit::<libc::stack_t>::zeroed();
    // SAFETY: asks only, and `stack` is as large as the call expects.
    let result = unsafe { libc::sigaltstack(ptr::null(), stack.as_mut_ptr()) };
    // SAFETY: zeroes are a valid value, and so is what the call wrote.
    let stack = unsafe { stack.assume_init() };
    result != 0 || stack.ss_flags & libc::SS_ONSTACK != 0
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
    use core::sync::atomic::AtomicPtr;

    #[test]
    fn only_the_first_level_is_outermost_and_leaving_restores_it() {
        let mut thread = Thread::new();
        let thread = NonNull::from(&mut thread);
        for _ in 0..2 {
            // SAFETY: a block of this thread.
            let outer = unsafe { Depth::enter(thread) };
            assert!(outer.is_outermost());
            assert!(!is_outermost_further_down(thread));
        }
    }

    /// Enters, and is left as by an exception: without a drop.
    #[inline(never)]
    fn abandon(thread: NonNull<Thread>) {
        for _ in 0..2 {
            // SAFETY: a block of this thread.
            std::mem::forget(unsafe { Depth::enter(thread) });
        }
    }

    #[inline(never)]
    fn is_outermost_further_down(thread: NonNull<Thread>) -> bool {
        let room = std::hint::black_box([0_u8; 512]);
        // SAFETY: a block of this thread.
        let outermost = unsafe { Depth::enter(thread) }.is_outermost();
        std::hint::black_box(room);
        outermost
    }

    #[test]
    fn after_a_hook_that_was_left_by_an_exception_the_next_is_outermost() {
        let mut thread = Thread::new();
        let block = NonNull::from(&mut thread);
        for _ in 0..2 {
            abandon(block);
            // SAFETY: a block of this thread.
            let guard = unsafe { Depth::enter(block) };
            assert!(guard.is_outermost());
            assert!(!is_outermost_further_down(block), "inside of the new one");
        }
        assert_eq!((thread.depth, thread.outermost), (0, 0));
    }

    static IN_HANDLER: AtomicPtr<Thread> = AtomicPtr::new(ptr::null_mut());
    static SEEN: AtomicU32 = AtomicU32::new(0);

    extern "C" fn handler(_: libc::c_int) {
        if let Some(thread) = NonNull::new(IN_HANDLER.load(Relaxed)) {
            // SAFETY: the block of the thread that raises the signal.
            let outermost = unsafe { Depth::enter(thread) }.is_outermost();
            SEEN.store(1 + u32::from(outermost), Relaxed);
        }
    }

    #[inline(never)]
    fn raise_inside(thread: NonNull<Thread>) {
        // SAFETY: a block of this thread.
        let guard = unsafe { Depth::enter(thread) };
        // SAFETY: the test installed a handler.
        unsafe { libc::raise(libc::SIGUSR2) };
        assert!(guard.is_outermost());
    }

    #[test]
    fn a_signal_handler_is_an_inner_hook_even_on_a_stack_further_up() {
        let mut room = [0_u8; 1 << 16];
        let stack =
            libc::stack_t { ss_sp: room.as_mut_ptr().cast(), ss_flags: 0, ss_size: room.len() };
        // SAFETY: the stack outlives its use, which ends below.
        unsafe { libc::sigaltstack(&raw const stack, ptr::null_mut()) };
        // SAFETY: zeroes are a valid value.
        let mut action = unsafe { MaybeUninit::<libc::sigaction>::zeroed().assume_init() };
        action.sa_sigaction = handler as *const () as usize;
        action.sa_flags = libc::SA_ONSTACK;
        // SAFETY: a valid action whose handler does what a handler may do.
        unsafe { libc::sigaction(libc::SIGUSR2, &raw const action, ptr::null_mut()) };
        let mut thread = Thread::new();
        IN_HANDLER.store(&raw mut thread, Relaxed);
        raise_inside(NonNull::from(&mut thread));
        IN_HANDLER.store(ptr::null_mut(), Relaxed);
        assert_eq!(SEEN.load(Relaxed), 1);
        let none = libc::stack_t { ss_flags: libc::SS_DISABLE, ..stack };
        // SAFETY: nothing runs on the stack any more.
        unsafe { libc::sigaltstack(&raw const none, ptr::null_mut()) };
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
