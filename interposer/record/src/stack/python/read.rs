//! One read of the interpreter's memory.

use core::ptr;

/// A field of an object, frame or thread state.
///
/// # Safety
/// At `offset` from `address` there is a readable `T`, for which any bits will do.
pub unsafe fn field<T: Copy>(address: usize, offset: usize) -> T {
    let place = ptr::with_exposed_provenance::<T>(address.wrapping_add(offset));
    // SAFETY: by the caller's promise.
    unsafe { place.read_unaligned() }
}
