//! The end of a context, and with it of everything in it.

use wire::device::UNKNOWN;

use crate::{
    abi::{self, Status},
    call::{Call, Note},
    event::{Event, Op},
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        abi::SUCCESS,
        table::Api,
        testing::{event, on, ops, recording},
    };

    extern "C" fn destroy_ok(_: u64) -> Status {
        SUCCESS
    }

    extern "C" fn device_ok(_: i32) -> Status {
        SUCCESS
    }

    extern "C" fn device_fails(_: i32) -> Status {
        1
    }

    extern "C" fn state(device: i32, _: *mut u32, active: *mut i32) -> Status {
        // SAFETY: the driver's questions pass valid pointers.
        unsafe { *active = i32::from(device == 0) };
        SUCCESS
    }

    #[test]
    fn a_context_that_was_destroyed_is_named() {
        // SAFETY: the real one takes any number.
        on(&recording(), Api::cuCtxDestroy_v2, |call| unsafe { destroy(call, destroy_ok, 0xc1) });
        let reset = event();
        assert_eq!((reset.op, reset.aux, reset.device), (Op::Reset, 0xc1, UNKNOWN));
    }

    #[test]
    fn a_reset_ends_the_primary_context_of_its_device_unless_it_fails() {
        let hooks = recording();
        // SAFETY: the real ones take any number.
        on(&hooks, Api::cuDevicePrimaryCtxReset_v2, |call| unsafe { reset(call, device_ok, 3) });
        let ended = event();
        assert_eq!((ended.op, ended.aux, ended.device), (Op::Reset, 0, 3));
        // SAFETY: as above.
        on(&hooks, Api::cuDevicePrimaryCtxReset_v2, |call| unsafe { reset(call, device_fails, 3) });
        assert_eq!(ops(), []);
    }

    #[test]
    fn only_the_last_release_ends_the_primary_context() {
        let hooks = recording();
        hooks.driver.set("cuDevicePrimaryCtxGetState", state as *const () as usize);
        for (device, want) in [(0, &[][..]), (1, &[Op::Reset])] {
            // SAFETY: the real one takes any number.
            on(&hooks, Api::cuDevicePrimaryCtxRelease_v2, |call| unsafe {
                release(call, device_ok, device)
            });
            assert_eq!(ops(), want);
        }
    }
}
