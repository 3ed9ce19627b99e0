//! `cuInit`: its first success is when recording starts.

use crate::{abi::Status, call::Call};

type Init = unsafe extern "C" fn(u32) -> Status;

/// `cuInit`.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn init(call: &Call<'_>, real: Init, flags: u32) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(flags) };
    if guard.note(status).is_some() {
        // PyTorch may have been loaded since another library called `cuInit` first.
        call.hooks().linkage.fill();
    }
    status
}
