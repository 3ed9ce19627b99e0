//! The library's thread-local storage: 64 bytes of the initial-exec model.
//!
//! A preloaded library has its place in the block that each thread is born with, so an access is
//! two instructions, allocates nothing and works in signal handlers and in the last destructor.
//! Stable Rust has no `#[thread_local]`, so the variable is declared to the assembler.

use core::{arch::asm, ptr::NonNull};

use hook::event::Thread;

core::arch::global_asm!(
    ".pushsection .tbss.memtrace_thread,\"awT\",@nobits",
    ".balign 64",
    ".hidden memtrace_thread",
    ".type memtrace_thread,@object",
    ".size memtrace_thread,64",
    "memtrace_thread:",
    ".zero 64",
    ".popsection",
);

const _: () = assert!(size_of::<Thread>() == 64 && align_of::<Thread>() == 64);

/// The calling thread's block, all zero at first.
#[inline]
pub fn block() -> NonNull<Thread> {
    let block: *mut Thread;
    // SAFETY: adds the variable's offset to the thread pointer; touches nothing else.
    unsafe {
        asm!(
            "mov {block}, qword ptr [rip + memtrace_thread@GOTTPOFF]",
            "add {block}, qword ptr fs:[0]",
            block = out(reg) block,
            options(pure, readonly, nostack),
        );
    }
    // SAFETY: the thread pointer is not null, nor is anything at a fixed distance below it.
    unsafe { NonNull::new_unchecked(block) }
}
