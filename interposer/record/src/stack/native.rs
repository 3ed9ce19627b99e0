//! Native frames by the C runtime's unwinder.
//!
//! This is what `backtrace::trace_unsynchronized` does. The crate itself cannot be used: it depends
//! on `std`, which would bring thread-local storage and an allocator into the traced process.

use core::ffi::{c_int, c_void};

use super::{Inside, switch::Switchers};

/// Frames taken at most.
pub const DEPTH: usize = 128;

const CONTINUE: c_int = 0;
const STOP: c_int = 4;

#[link(name = "gcc_s")]
unsafe extern "C" {
    fn _Unwind_Backtrace(
        see: extern "C" fn(*mut c_void, *mut c_void) -> c_int,
        argument: *mut c_void,
    ) -> c_int;
    fn _Unwind_GetIP(context: *mut c_void) -> usize;
}

struct Walk<'f> {
    frames: &'f mut [u64; DEPTH],
    inside: &'f Inside,
    switchers: &'f Switchers,
    depth: usize,
    whole: bool,
}

/// Fills `frames` with return addresses, innermost first, without the leading ones in `inside`.
/// Returns how many there are, and whether that is all of them. What called one of `switchers` is
/// none of this stack.
pub fn walk(frames: &mut [u64; DEPTH], inside: &Inside, switchers: &Switchers) -> (usize, bool) {
    let mut walk = Walk { frames, inside, switchers, depth: 0, whole: true };
    // SAFETY: `see` gets the address of `walk`, which outlives the call; it does not unwind.
    unsafe { _Unwind_Backtrace(see, (&raw mut walk).cast()) };
    (walk.depth, walk.whole)
}

extern "C" fn see(context: *mut c_void, argument: *mut c_void) -> c_int {
    // SAFETY: `argument` is the `walk` above, which nobody else uses meanwhile.
    let walk = unsafe { &mut *argument.cast::<Walk<'_>>() };
    // SAFETY: the unwinder passes a valid context.
    let address = unsafe { _Unwind_GetIP(context) } as u64;
    if address == 0 {
        return STOP;
    }
    if walk.depth == 0 && walk.inside.contains(address) {
        return CONTINUE;
    }
    let Some(place) = walk.frames.get_mut(walk.depth) else {
        walk.whole = false;
        return STOP;
    };
    *place = address;
    walk.depth = walk.depth.saturating_add(1);
    if walk.switchers.contain(address) { STOP } else { CONTINUE }
}
