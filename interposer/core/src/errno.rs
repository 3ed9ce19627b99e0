//! `errno` belongs to the program.

use core::ffi::c_int;

/// Puts `errno` back when it goes.
pub struct Kept(c_int);

fn place() -> *mut c_int {
    // SAFETY: takes no arguments and always succeeds.
    unsafe { libc::__errno_location() }
}

impl Kept {
    /// Keeps the value of now.
    pub fn new() -> Self {
        // SAFETY: the address is that of the calling thread's own variable.
        Self(unsafe { *place() })
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        // SAFETY: the address is that of the calling thread's own variable.
        unsafe { *place() = self.0 };
    }
}
