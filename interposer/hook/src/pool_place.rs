//! Which pool serves a device, and how much pools keep. A pool that is asked for becomes known with
//! the device it lies on, which need not be the current one when it is first used.

use wire::record::Step;

use crate::{
    abi::{self, Location, POOL_THRESHOLD, Status},
    call::{Call, Guard, Note},
    pool,
};

type OfDevice = unsafe extern "C" fn(*mut u64, i32) -> Status;
type SetOfDevice = unsafe extern "C" fn(i32, u64) -> Status;
type OfLocation = unsafe extern "C" fn(*mut u64, *const Location, u32) -> Status;
type SetOfLocation = unsafe extern "C" fn(*const Location, u32, u64) -> Status;
type SetAttribute = unsafe extern "C" fn(u64, u32, *const u64) -> Status;

fn seen(guard: &Guard<'_>, status: Status, pool: u64, device: Option<u8>) {
    if let Some(device) = device.filter(|_| pool != 0) {
        pool::read_on(guard, status, pool, device);
    }
}

/// # Safety
/// `out` is the program's out-parameter of the call that returned `status`.
unsafe fn answered(guard: &Guard<'_>, status: Status, out: *const u64, device: Option<u8>) {
    let Some(note) = guard.note(status).filter(Note::succeeded) else { return };
    // SAFETY: the caller's promise.
    let pool = unsafe { note.read(out) };
    drop(note);
    seen(guard, status, pool, device);
}

/// `cuDeviceGetDefaultMemPool`, `cuDeviceGetMemPool`.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn of_device(call: &Call<'_>, real: OfDevice, out: *mut u64, device: i32) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(out, device) };
    // SAFETY: the program's own out-parameter.
    unsafe { answered(&guard, status, out, abi::ordinal(device)) };
    status
}

/// `cuDeviceSetMemPool`.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn set_of_device(call: &Call<'_>, real: SetOfDevice, device: i32, pool: u64) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(device, pool) };
    seen(&guard, status, pool, abi::ordinal(device));
    status
}

/// `cuMemGetDefaultMemPool`, `cuMemGetMemPool`: also of places that are on no device.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn of_location(
    call: &Call<'_>,
    real: OfLocation,
    out: *mut u64,
    place: *const Location,
    kind: u32,
) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(out, place, kind) };
    if status == abi::SUCCESS {
        // SAFETY: the call succeeded, so the driver read this.
        let device = unsafe { abi::read(place) }.and_then(|place| place.device());
        // SAFETY: the program's own out-parameter.
        unsafe { answered(&guard, status, out, device) };
    }
    status
}

/// `cuMemSetMemPool`.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn set_of_location(
    call: &Call<'_>,
    real: SetOfLocation,
    place: *const Location,
    kind: u32,
    pool: u64,
) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(place, kind, pool) };
    if status == abi::SUCCESS {
        // SAFETY: the call succeeded, so the driver read this.
        let device = unsafe { abi::read(place) }.and_then(|place| place.device());
        seen(&guard, status, pool, device);
    }
    status
}

/// `cuMemPoolSetAttribute`: how many bytes a pool shall keep decides what it gives back from now on.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn set_attribute(
    call: &Call<'_>,
    real: SetAttribute,
    pool: u64,
    attribute: u32,
    value: *const u64,
) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(pool, attribute, value) };
    if attribute == POOL_THRESHOLD && status == abi::SUCCESS {
        // SAFETY: the call succeeded, so the driver read 64 bits for this attribute.
        let kept = unsafe { abi::read(value) }.unwrap_or_default();
        guard.called(status, Step::ThresholdSet, pool, kept);
    }
    status
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        abi::{POOL_RESERVED, SUCCESS},
        event::Op,
        hooks::Hooks,
        table::Api,
        testing::{event, on, ops, recording},
    };

    extern "C" fn of_location_ok(out: *mut u64, _: *const Location, _: u32) -> Status {
        // SAFETY: the tests pass valid pointers.
        unsafe { *out = 0x900 };
        SUCCESS
    }

    extern "C" fn set_ok(_: i32, _: u64) -> Status {
        SUCCESS
    }

    extern "C" fn attribute_ok(_: u64, _: u32, _: *const u64) -> Status {
        SUCCESS
    }

    extern "C" fn attribute(_: u64, attribute: u32, out: *mut u64) -> Status {
        // SAFETY: as above.
        unsafe { *out = if attribute == POOL_RESERVED { 4096 } else { 64 } };
        SUCCESS
    }

    fn hooks() -> Hooks {
        let hooks = recording();
        hooks.driver.set("cuMemPoolGetAttribute", attribute as *const () as usize);
        hooks
    }

    #[test]
    fn a_pool_that_is_asked_for_lies_where_it_was_asked_for_and_not_on_the_current_device() {
        let hooks = hooks();
        // SAFETY: the real one takes any numbers.
        on(&hooks, Api::cuDeviceSetMemPool, |call| unsafe {
            set_of_device(call, set_ok, 5, 0x900)
        });
        let reading = event();
        let got = (reading.op, reading.address, reading.size, reading.device);
        assert_eq!(got, (Op::PoolReading, 0x900, 4096, 5));
        for (kind, want) in [(1, &[Op::PoolReading][..]), (2, &[])] {
            let (mut out, place) = (0, Location { kind, id: 6 });
            // SAFETY: valid arguments.
            on(&hooks, Api::cuMemGetMemPool, |call| unsafe {
                of_location(call, of_location_ok, &raw mut out, &raw const place, 1)
            });
            assert_eq!(ops(), want);
        }
    }

    #[test]
    fn what_a_pool_shall_keep_is_a_step_and_other_attributes_are_none() {
        let kept = 1 << 20;
        for (which, want) in [(POOL_THRESHOLD, &[(0x900, 1 << 20)][..]), (POOL_RESERVED, &[])] {
            // SAFETY: valid arguments.
            on(&hooks(), Api::cuMemPoolSetAttribute, |call| unsafe {
                set_attribute(call, attribute_ok, 0x900, which, &raw const kept)
            });
            let steps = crate::testing::events();
            let steps: Vec<_> = steps.iter().map(|step| (step.address, step.size)).collect();
            assert_eq!(steps, want);
        }
    }
}
