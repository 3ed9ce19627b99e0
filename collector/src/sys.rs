//! The system calls that `std` does not offer. The only unsafe code of the collector.
#![allow(unsafe_code)]

/// The effective user id.
#[must_use]
pub fn user() -> u32 {
    // SAFETY: has no preconditions and cannot fail.
    unsafe { libc::geteuid() }
}
