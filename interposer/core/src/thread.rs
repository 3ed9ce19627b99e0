//! The calling thread's block, also for the panic handler, to which nobody hands it.
//!
//! The block lies in the shim's thread-local storage at an offset from the thread pointer that is
//! the same in every thread. The first event tells it.

use core::{
    arch::asm,
    ptr,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
};
use hook::event::Thread;

/// Offset of the block; 0, where the thread pointer itself is, while not known.
static OFFSET: AtomicUsize = AtomicUsize::new(0);

/// The thread pointer. Its place holds its own address, by the x86-64 ABI.
fn pointer() -> usize {
    let pointer;
    // SAFETY: reads one word that every thread has.
    unsafe { asm!("mov {}, fs:0", out(reg) pointer, options(nostack, readonly, preserves_flags)) };
    pointer
}

/// Learns where blocks are from the block of the calling thread.
pub fn learn(block: *mut Thread) {
    if OFFSET.load(Relaxed) == 0 {
        OFFSET.store(block.expose_provenance().wrapping_sub(pointer()), Relaxed);
    }
}

/// The calling thread's block, if its offset is known.
fn block() -> Option<*mut Thread> {
    match OFFSET.load(Relaxed) {
        0 => None,
        offset => Some(ptr::with_exposed_provenance_mut(pointer().wrapping_add(offset))),
    }
}

/// The word of the calling thread that says where its guarded call began.
pub fn guard_word<'t>() -> Option<&'t AtomicU64> {
    let block = block()?;
    // SAFETY: the block is valid for as long as the thread runs.
    let word = unsafe { (&raw mut (*block).memo).cast::<u64>() };
    // SAFETY: the word is aligned, valid while the thread runs, and only used atomically.
    Some(unsafe { AtomicU64::from_ptr(word) })
}
