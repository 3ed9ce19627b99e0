//! A call that can be left from any depth: the way out of a panic.
//!
//! The recorder has no panic paths of its own making, but a mistake in it must not take the
//! program down. `catch_unwind` would be the usual net; it lives in `std`, which brings
//! thread-local storage and an allocator into a library that is opened late, and whose first use
//! in each thread would call the program's `malloc`. So this does what `setjmp` and `longjmp` do,
//! in one direction: [`call`] keeps the stack pointer and [`resume`] goes back to it. Frames in
//! between are dropped without running anything; a file descriptor may leak, nothing else is held.

use core::{arch::naked_asm, ffi::c_void};

/// Where a guarded call began; lives on the stack of the one who makes it.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Context {
    stack: usize,
}

/// Calls `function` with `argument`. Returns 0 if it returned, 1 if it was left by [`resume`].
///
/// # Safety
/// `function` may be called with `argument`, and no frame below this one needs its destructors.
#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
pub unsafe extern "C" fn call(
    context: *mut Context,
    function: extern "C" fn(*mut c_void),
    argument: *mut c_void,
) -> u32 {
    // The unwinder walks through here when a stack is taken, hence the call frame information.
    naked_asm!(
        ".cfi_startproc",
        "push rbp",
        ".cfi_def_cfa_offset 16",
        ".cfi_offset rbp, -16",
        "mov rbp, rsp",
        ".cfi_def_cfa_register rbp",
        "push rbx",
        ".cfi_offset rbx, -24",
        "push r12",
        ".cfi_offset r12, -32",
        "push r13",
        ".cfi_offset r13, -40",
        "push r14",
        ".cfi_offset r14, -48",
        "push r15",
        ".cfi_offset r15, -56",
        "sub rsp, 8",
        "mov [rdi], rsp",
        "mov rdi, rdx",
        "call rsi",
        "xor eax, eax",
        "add rsp, 8",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        ".cfi_def_cfa rsp, 8",
        "ret",
        ".cfi_endproc",
    )
}

/// Goes back to the [`call`] that filled `context`.
///
/// # Safety
/// That call has not returned, and was made by this thread.
#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
pub unsafe extern "C" fn resume(context: *const Context) -> ! {
    naked_asm!(
        "mov rsp, [rdi]",
        "mov eax, 1",
        "add rsp, 8",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "ret",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ptr;

    struct Plan {
        context: Context,
        depth: u32,
        leave: bool,
    }

    extern "C" fn descend(plan: *mut c_void) {
        // SAFETY: the tests pass their own plan.
        let plan = unsafe { &mut *plan.cast::<Plan>() };
        if plan.depth > 0 {
            plan.depth -= 1;
            descend(ptr::from_mut(plan).cast());
        } else if plan.leave {
            // SAFETY: the call that filled the context is still under way in this thread.
            unsafe { resume(&raw const plan.context) };
        }
    }

    fn run(leave: bool) -> (u32, u32) {
        let mut plan = Plan { context: Context::default(), depth: 20, leave };
        let kept = std::hint::black_box([1_u64, 2, 3, 4, 5, 6, 7, 8]);
        let context = &raw mut plan.context;
        // SAFETY: the context and the plan outlive the call; `descend` has no destructors.
        let left = unsafe { call(context, descend, (&raw mut plan).cast()) };
        assert_eq!(std::hint::black_box(kept).iter().sum::<u64>(), 36);
        (left, plan.depth)
    }

    #[test]
    fn a_call_returns_or_is_left() {
        assert_eq!(run(false), (0, 0));
        assert_eq!(run(true), (1, 0));
        assert_eq!(run(false), (0, 0));
    }

    #[test]
    fn a_stack_is_taken_through_a_guarded_call() {
        extern "C" fn count(depth: *mut c_void) {
            let mut frames = 0;
            backtrace_depth(&mut frames);
            // SAFETY: the test passes a `usize` of its own.
            unsafe { *depth.cast::<usize>() = frames };
        }
        fn backtrace_depth(depth: &mut usize) {
            *depth = std::backtrace::Backtrace::force_capture().to_string().lines().count();
        }
        let (mut direct, mut guarded) = (0_usize, 0_usize);
        count((&raw mut direct).cast());
        let mut context = Context::default();
        // SAFETY: the context outlives the call; what has destructors is not left early.
        unsafe { call(&raw mut context, count, (&raw mut guarded).cast()) };
        assert!(guarded > direct, "{guarded} lines, {direct} without the guard");
    }
}
