//! `libmemtrace_core.so`: the recorder as a library, opened by the shim at the first `cuInit`.
//!
//! What is here is what a library needs besides the recorder: one exported function, a net for
//! panics, and a guard for `errno`. There is no thread-local storage: in a library that is opened
//! late, the first access in each thread would call `malloc`.
#![no_std]

mod errno;
mod fault;
mod thread;

use core::{ffi::c_void, ptr, slice};
use hook::event::{ABI, Event, Recorder, Start};
use record::{Ledger, once::Once, stack::Inside};

static LEDGER: Once<Ledger<'static>> = Once::new();
static RECORDER: Recorder = Recorder { abi: ABI, record, exit };

/// Starts the recorder in this process, once; null if there will be no recording.
///
/// # Safety
/// `start` points to a valid [`Start`] whose names stay in place.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memtrace_core_start(start: *const Start) -> *const Recorder {
    let _errno = errno::Kept::new();
    // SAFETY: by the caller's promise.
    let abi = unsafe { (*start).abi };
    if abi != ABI || !LEDGER.claim() {
        return ptr::null();
    }
    // SAFETY: `open` takes what this function was given.
    unsafe { fault::guarded(&fault::STARTING, open, start.cast_mut().cast()) };
    if LEDGER.get().is_some() { &raw const RECORDER } else { ptr::null() }
}

extern "C" fn open(start: *mut c_void) {
    // SAFETY: `memtrace_core_start` passes its own argument.
    let start = unsafe { &*start.cast::<Start>() };
    // SAFETY: the shim's names are as long as it says, and stay in place.
    let names = unsafe { slice::from_raw_parts(start.names, start.names_length) };
    let inside = Inside::around([start.inside, open as *const () as usize]);
    if let Some(ledger) = record::start::start(names, inside) {
        // SAFETY: claimed by `memtrace_core_start`, which gets here once.
        unsafe { LEDGER.fill(ledger) };
    }
}

unsafe extern "C" fn record(event: *mut Event) {
    let _errno = errno::Kept::new();
    // SAFETY: by the promise of `RecordFn`, `event` is valid.
    thread::learn(unsafe { (*event).thread });
    if let Some(word) = thread::guard_word() {
        // SAFETY: `enter` takes what this function was given.
        unsafe { fault::guarded(word, enter, event.cast()) };
    }
}

extern "C" fn enter(event: *mut c_void) {
    let Some(ledger) = LEDGER.get() else { return };
    // SAFETY: by the promise of `RecordFn`; the shim uses the event again only afterwards.
    let event = unsafe { &mut *event.cast::<Event>() };
    #[cfg(feature = "fault")]
    assert!(event.size != u64::MAX, "the panic that the test asks for");
    // SAFETY: the same promise for its thread.
    unsafe { ledger.record(event) };
}

extern "C" fn exit() {
    if let Some(ledger) = LEDGER.get() {
        ledger.exit();
    }
}
