//! The end of a context, and with it of everything in it.

use wire::device::UNKNOWN;

use crate::{
    abi::{self, Status},
    event::{Event, Op},
    hooks::{Call, Note},
};

type Destroy = unsafe extern "C" fn(u64) -> Status;
type OfDevice = unsafe extern "C" fn(i32) -> Status;

/// `cuCtxDestroy`.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn destroy(call: &Call<'_>, real: Destroy, context: u64) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(context) };
    if let Some(note) = guard.note(status).filter(Note::succeeded) {
        note.publish(Event { aux: context, ..note.event(Op::Reset) });
    }
    status
}

fn primary_ended(note: &Note<'_>, device: i32) {
    let device = abi::ordinal(device).unwrap_or(UNKNOWN);
    note.publish(Event { device, ..note.event(Op::Reset) });
}

/// `cuDevicePrimaryCtxReset`.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn reset(call: &Call<'_>, real: OfDevice, device: i32) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(device) };
    if let Some(note) = guard.note(status).filter(Note::succeeded) {
        primary_ended(&note, device);
    }
    status
}

/// `cuDevicePrimaryCtxRelease`: the last one ends the context.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn release(call: &Call<'_>, real: OfDevice, device: i32) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(device) };
    if let Some(note) = guard.note(status).filter(Note::succeeded)
        && note.driver().primary_active(device) == Some(false)
    {
        primary_ended(&note, device);
    }
    status
}
