//! What a program may call to mark its time: declared in `docs/phases.md`.

use core::ffi::c_char;

use hook::mark::{Kind, Mark, mark};

use crate::{HOOKS, thread};

/// Sets a mark from wherever the program does.
///
/// # Safety
/// `name` is null or a C string.
pub unsafe fn set(kind: Kind, name: *const c_char, range: u64, domain: u64) {
    // SAFETY: the calling thread's block, and the caller's promise.
    unsafe { mark(&HOOKS, thread::block(), &Mark { kind, name, range, domain }) };
}

/// A name, where the program gave none an empty one: these calls always have one.
fn named(name: *const c_char) -> *const c_char {
    if name.is_null() { c"".as_ptr() } else { name }
}

/// Marks a moment.
///
/// # Safety
/// `name` is null or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memtrace_mark(name: *const c_char) {
    // SAFETY: the caller's promise.
    unsafe { set(Kind::Point, named(name), 0, 0) };
}

/// Begins a phase.
///
/// # Safety
/// `name` is null or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memtrace_phase_begin(name: *const c_char) {
    // SAFETY: the caller's promise.
    unsafe { set(Kind::Begin, named(name), 0, 0) };
}

/// Ends the phase of this name that the calling thread began last.
///
/// # Safety
/// `name` is null or a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memtrace_phase_end(name: *const c_char) {
    // SAFETY: the caller's promise.
    unsafe { set(Kind::End, named(name), 0, 0) };
}
