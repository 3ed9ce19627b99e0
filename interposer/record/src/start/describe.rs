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
        if is_wanted(entry) {
            let Some(end) = append(&mut buffer, filled, entry) else { break };
            filled = end;
        }
    }
    ENVIRONMENT.write(text, buffer.get(..filled).unwrap_or_default());
}

/// Puts a line into `buffer` at `at` and returns its end; `None` if it does not fit.
fn append(buffer: &mut [u8], at: usize, line: &[u8]) -> Option<usize> {
    let end = at.checked_add(line.len())?;
    let (last, place) = buffer.get_mut(at..=end)?.split_last_mut()?;
    place.copy_from_slice(line);
    *last = b'\n';
    end.checked_add(1)
}

fn is_wanted(entry: &[u8]) -> bool {
    ENVIRONMENT_NAMES.iter().any(|name| {
        entry.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.first() == Some(&b'='))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_listed_names_are_wanted() {
        assert!(is_wanted(b"RANK=3"));
        assert!(!is_wanted(b"RANKED=3") && !is_wanted(b"RANK") && !is_wanted(b"API_TOKEN=x"));
    }

    #[test]
    fn lines_fill_a_buffer_to_its_last_byte() {
        let mut buffer = [0; 9];
        let end = append(&mut buffer, 0, b"RANK=3").unwrap();
        assert_eq!(append(&mut buffer, end, b"AB"), None);
        assert_eq!(append(&mut buffer, end, b"A"), Some(9));
        assert_eq!(&buffer, b"RANK=3\nA\n");
    }
}
