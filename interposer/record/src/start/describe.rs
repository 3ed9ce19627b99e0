//! What the process says about itself: command line, environment, executable.

use core::{
    ffi::{CStr, c_char},
    sync::atomic::AtomicU64,
};
use wire::text::{COMMAND, ENVIRONMENT, ENVIRONMENT_NAMES, EXECUTABLE};

use crate::sys;

unsafe extern "C" {
    static environ: *const *const c_char;
}

/// Fills the text section.
pub fn write(text: &[AtomicU64]) {
    command(text);
    environment(text);
    executable(text);
}

/// Reads the command line again: programs put a title in its place after they started.
pub fn command(text: &[AtomicU64]) {
    let mut buffer = [0; COMMAND.capacity()];
    if let Some(bytes) = sys::read_file(c"/proc/self/cmdline", &mut buffer) {
        COMMAND.write(text, bytes);
    }
}

fn executable(text: &[AtomicU64]) {
    let mut buffer = [0_u8; EXECUTABLE.capacity()];
    let path = c"/proc/self/exe".as_ptr();
    // SAFETY: the path ends with NUL and `buffer` is valid for writing its length.
    let length = unsafe { libc::readlink(path, buffer.as_mut_ptr().cast(), buffer.len()) };
    if let Some(bytes) = usize::try_from(length).ok().and_then(|length| buffer.get(..length)) {
        EXECUTABLE.write(text, bytes);
    }
}

/// The variables as they are now, not as they were at `exec`: launchers written in Python set them
/// in the child before it uses CUDA.
fn environment(text: &[AtomicU64]) {
    let mut buffer = [0; ENVIRONMENT.capacity()];
    let mut filled = 0_usize;
    // SAFETY: reading the pointer as `getenv` does. Like with `getenv`, a program that changes its
    // environment from another thread at this moment is at fault.
    let mut next = unsafe { environ };
    while !next.is_null() {
        // SAFETY: the list ends with a null pointer, which was not met yet.
        let entry = unsafe { *next };
        if entry.is_null() {
            break;
        }
        // SAFETY: entries end with NUL and the C library never frees them.
        let entry = unsafe { CStr::from_ptr(entry) }.to_bytes();
        // SAFETY: at most one past the end, as the null pointer was not met yet.
        next = unsafe { next.add(1) };
        if !is_wanted(entry) {
            continue;
        }
        let end = filled.saturating_add(entry.len());
        let (Some(place), Some(newline)) = (
            buffer.get_mut(filled..end).map(|place| place.copy_from_slice(entry)),
            buffer.get_mut(end),
        ) else {
            break;
        };
        let () = place;
        *newline = b'\n';
        filled = end.saturating_add(1);
    }
    ENVIRONMENT.write(text, buffer.get(..filled).unwrap_or_default());
}

fn is_wanted(entry: &[u8]) -> bool {
    ENVIRONMENT_NAMES.iter().any(|name| {
        entry.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.first() == Some(&b'='))
    })
}
