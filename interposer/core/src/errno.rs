//! `errno` belongs to the program.

use core::ffi::c_int;

/// Puts `errno` back when it goes.
pub struct Kept(c_int);

impl Kept {
    /// Keeps the value of now.
    pub fn new() -> Self {
        // SAFETY: the C library returns the address of the calling thread's own variable.
        Self(unsafe { *libc::__errno_location() })
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        // SAFETY: the C library returns the address of the calling thread's own variable.
        unsafe { *libc::__errno_location() = self.0 };
    }
}
