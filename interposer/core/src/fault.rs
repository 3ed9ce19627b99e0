//! The net for panics: recording ends, the program goes on.

use core::{
    arch::global_asm,
    ffi::c_void,
    panic::PanicInfo,
    ptr,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};
use record::guard::{self, Context};

use crate::{LEDGER, thread};

/// Where the guarded call of the start began; events have a word per thread for this.
pub static STARTING: AtomicU64 = AtomicU64::new(0);

/// Calls `function` with `argument`, keeping in `word` where to go back to if it panics.
///
/// # Safety
/// `function` may be called with `argument`.
pub unsafe fn guarded(
    word: &AtomicU64,
    function: extern "C" fn(*mut c_void),
    argument: *mut c_void,
) {
    let mut context = Context::default();
    let place = &raw mut context;
    // Two steps: only this thread writes its word, and a signal handler that does puts it back.
    let outer = word.load(Relaxed);
    word.store(place.expose_provenance() as u64, Relaxed);
    // SAFETY: by the caller's promise; the recorder's frames hold nothing that must be dropped.
    unsafe { guard::call(place, function, argument) };
    word.store(outer, Relaxed);
}

// The compiled core library names the unwinder's personality in its tables. Nothing unwinds here,
// so it is never called; hidden, because other libraries have one of their own.
global_asm!(
    ".globl rust_eh_personality",
    ".hidden rust_eh_personality",
    ".type rust_eh_personality, @function",
    "rust_eh_personality:",
    "ud2",
);

#[panic_handler]
fn fault(panic: &PanicInfo<'_>) -> ! {
    if let (Some(ledger), Some(place)) = (LEDGER.get(), panic.location()) {
        ledger.fault(place);
    }
    let word = thread::guard_word().unwrap_or(&STARTING);
    let context = ptr::with_exposed_provenance::<Context>(word.load(Relaxed) as usize);
    // SAFETY: every entry into the recorder is guarded, so this thread is inside of such a call.
    unsafe { guard::resume(context) }
}
