//! Contexts that are made: each takes memory that no call tells.

use wire::{device::UNKNOWN, record::Step};

use crate::{
    abi::{self, Status},
    call::{Call, Guard, Note},
    event::{CONTEXT_OWN, CONTEXT_PART, CONTEXT_PRIMARY, Event, Op},
};

type Create = unsafe extern "C" fn(*mut u64, u32, i32) -> Status;
type CreateOn = unsafe extern "C" fn(*mut u64, usize, i32, u32, i32) -> Status;
type CreateWith = unsafe extern "C" fn(*mut u64, usize, u32, i32) -> Status;
type CreateGreen = unsafe extern "C" fn(*mut u64, usize, i32, u32) -> Status;
type CreateVdpau = unsafe extern "C" fn(*mut u64, u32, i32, u32, usize) -> Status;
type Retain = unsafe extern "C" fn(*mut u64, i32) -> Status;
type SetLimit = unsafe extern "C" fn(u32, u64) -> Status;

/// # Safety
/// `out` is the program's out-parameter of the call that returned `status`.
unsafe fn made(guard: &Guard<'_>, status: Status, out: *const u64, device: i32, whose: u64) {
    if let Some(note) = guard.note(status).filter(Note::succeeded) {
        // SAFETY: the caller's promise.
        let address = unsafe { note.read(out) };
        let device = abi::ordinal(device).unwrap_or(UNKNOWN);
        let (aux, extra) = (Step::ContextMade as u64, whose);
        note.publish(Event { address, aux, extra, device, ..note.event(Op::Called) });
        if whose == CONTEXT_OWN {
            note.note_own_context();
        }
    }
}

/// `cuCtxCreate`, `cuGLCtxCreate`.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn create(
    call: &Call<'_>,
    real: Create,
    out: *mut u64,
    flags: u32,
    device: i32,
) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(out, flags, device) };
    // SAFETY: the program's own out-parameter.
    unsafe { made(&guard, status, out, device, CONTEXT_OWN) };
    status
}

/// `cuCtxCreate_v3`: on some of the device's multiprocessors.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn create_on(
    call: &Call<'_>,
    real: CreateOn,
    out: *mut u64,
    affinity: usize,
    count: i32,
    flags: u32,
    device: i32,
) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(out, affinity, count, flags, device) };
    // SAFETY: the program's own out-parameter.
    unsafe { made(&guard, status, out, device, CONTEXT_OWN) };
    status
}

/// `cuCtxCreate_v4`.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn create_with(
    call: &Call<'_>,
    real: CreateWith,
    out: *mut u64,
    params: usize,
    flags: u32,
    device: i32,
) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(out, params, flags, device) };
    // SAFETY: the program's own out-parameter.
    unsafe { made(&guard, status, out, device, CONTEXT_OWN) };
    status
}

/// `cuGreenCtxCreate`: a part of the device's primary context.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn create_green(
    call: &Call<'_>,
    real: CreateGreen,
    out: *mut u64,
    resources: usize,
    device: i32,
    flags: u32,
) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(out, resources, device, flags) };
    // SAFETY: the program's own out-parameter.
    unsafe { made(&guard, status, out, device, CONTEXT_PART) };
    status
}

/// `cuVDPAUCtxCreate`.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn create_vdpau(
    call: &Call<'_>,
    real: CreateVdpau,
    out: *mut u64,
    flags: u32,
    device: i32,
    display: u32,
    resolve: usize,
) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(out, flags, device, display, resolve) };
    // SAFETY: the program's own out-parameter.
    unsafe { made(&guard, status, out, device, CONTEXT_OWN) };
    status
}

/// `cuDevicePrimaryCtxRetain`: makes the context unless somebody holds it already, which many
/// libraries do one after the other.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn retain(call: &Call<'_>, real: Retain, out: *mut u64, device: i32) -> Status {
    let guard = call.enter();
    let known = guard.primary_active(device);
    // SAFETY: the program's own call.
    let status = unsafe { real(out, device) };
    if known != Some(true) {
        // SAFETY: the program's own out-parameter.
        unsafe { made(&guard, status, out, device, CONTEXT_PRIMARY) };
    }
    status
}

/// `cuCtxSetLimit`: larger stacks, heaps and buffers take memory when a kernel needs them.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn set_limit(call: &Call<'_>, real: SetLimit, limit: u32, value: u64) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(limit, value) };
    guard.called(status, Step::LimitSet, limit.into(), value);
    status
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{
        abi::SUCCESS,
        table::Api,
        testing::{event, on, ops, recording},
    };

    pub(crate) extern "C" fn state(device: i32, _: *mut u32, active: *mut i32) -> Status {
        // SAFETY: the driver's questions pass valid pointers.
        unsafe { *active = i32::from(device == 0) };
        SUCCESS
    }

    pub(crate) extern "C" fn create_ok(out: *mut u64, _: u32, _: i32) -> Status {
        // SAFETY: the tests pass valid pointers.
        unsafe { *out = 0xc7 };
        SUCCESS
    }

    pub(crate) extern "C" fn retain_ok(out: *mut u64, _: i32) -> Status {
        // SAFETY: as above.
        unsafe { *out = 0xc8 };
        SUCCESS
    }

    #[test]
    fn a_context_that_was_made_is_a_step_and_one_that_was_there_is_none() {
        let hooks = recording();
        let mut out = 0;
        // SAFETY: valid arguments.
        on(&hooks, Api::cuCtxCreate_v2, |call| unsafe {
            create(call, create_ok, &raw mut out, 0, 1)
        });
        let step = event();
        let got = (step.op, step.address, step.device, step.aux);
        assert_eq!(got, (Op::Called, 0xc7, 1, Step::ContextMade as u64));
        hooks.driver.set("cuDevicePrimaryCtxGetState", state as *const () as usize);
        for (device, want) in [(0, &[][..]), (1, &[Op::Called])] {
            // SAFETY: valid arguments.
            on(&hooks, Api::cuDevicePrimaryCtxRetain, |call| unsafe {
                retain(call, retain_ok, &raw mut out, device)
            });
            assert_eq!(ops(), want);
        }
    }

    #[test]
    fn a_context_that_the_program_made_for_itself_is_told_from_the_devices_own() {
        let hooks = recording();
        let mut out = 0;
        // SAFETY: valid arguments.
        on(&hooks, Api::cuCtxCreate_v2, |call| unsafe {
            create(call, create_ok, &raw mut out, 0, 1)
        });
        assert_eq!(event().extra, CONTEXT_OWN);
        // SAFETY: valid arguments.
        on(&hooks, Api::cuDevicePrimaryCtxRetain, |call| unsafe {
            retain(call, retain_ok, &raw mut out, 1)
        });
        assert_eq!(event().extra, CONTEXT_PRIMARY);
    }
}
