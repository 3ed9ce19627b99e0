//! Contexts that end: everything in them goes along.

use crate::{
    abi::{self, Status},
    call::{Call, Note},
    event::{Event, Op},
    hooks::bits,
    pool,
};

type Destroy = unsafe extern "C" fn(u64) -> Status;
type OfDevice = unsafe extern "C" fn(i32) -> Status;

/// `cuCtxDestroy`.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn destroy(call: &Call<'_>, real: Destroy, context: u64) -> Status {
    let guard = call.enter();
    let mut end = guard.resetting(context);
    // SAFETY: the program's own call.
    let status = unsafe { real(context) };
    guard.reset(&mut end, status);
    status
}

/// `cuCtxDetach`: gives back one reference, which destroys the context if it was the last. A context that is
/// gone cannot be asked; but only the thread that it is current to may detach it, and there it stays current
/// as long as it lives.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn detach(call: &Call<'_>, real: Destroy, context: u64) -> Status {
    let guard = call.enter();
    let was_current = guard.is_current(context);
    // SAFETY: the program's own call.
    let status = unsafe { real(context) };
    if let Some(note) = guard.note(status).filter(Note::succeeded)
        && was_current
        && note.driver().context() != Some(context)
    {
        note.publish(Event { aux: context, ..note.event(Op::Reset) });
    }
    status
}

/// A device's primary context ended. What its pools hold now, if anything, only the driver knows.
fn primary_ended(note: &Note<'_>, device: i32) {
    let Some(device) = abi::ordinal(device) else { return };
    note.publish(Event { device, ..note.event(Op::Reset) });
    note.end_captures_of(device);
    if let Some(pool) = note.driver().pool_of_device(device) {
        pool::read_for(note, pool, device);
    }
}

/// `cuGreenCtxDestroy`: gives back a primary context, and maybe as the last.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn destroy_green(call: &Call<'_>, real: Destroy, context: u64) -> Status {
    let guard = call.enter();
    let active = |device: u8| guard.primary_active(device.into()) == Some(true);
    let before = call.hooks().seen_devices().filter(|device| active(*device));
    let before = before.fold(0_u64, |devices, device| devices | 1 << (device & 63));
    // SAFETY: the program's own call.
    let status = unsafe { real(context) };
    if let Some(note) = guard.note(status).filter(Note::succeeded) {
        for device in bits(before) {
            if note.driver().primary_active(device.into()) == Some(false) {
                primary_ended(&note, device.into());
            }
        }
    }
    status
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
    use core::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

    use wire::device::UNKNOWN;

    use super::*;
    use crate::{
        abi::SUCCESS,
        context::{
            create, retain,
            tests::{create_ok, retain_ok, state},
        },
        hooks::Hooks,
        table::Api,
        testing::{event, events, on, ops, recording},
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

    extern "C" fn pool_of_device(out: *mut u64, _: i32) -> Status {
        // SAFETY: the driver's questions pass valid pointers.
        unsafe { *out = 0x900 };
        SUCCESS
    }

    extern "C" fn pool_attribute(_: u64, _: u32, out: *mut u64) -> Status {
        // SAFETY: as above.
        unsafe { *out = 4096 };
        SUCCESS
    }

    #[test]
    fn what_a_device_keeps_for_its_pool_is_read_when_its_primary_context_has_ended() {
        let hooks = recording();
        hooks.driver.set("cuDeviceGetMemPool", pool_of_device as *const () as usize);
        hooks.driver.set("cuMemPoolGetAttribute", pool_attribute as *const () as usize);
        // SAFETY: the real one takes any number.
        on(&hooks, Api::cuDevicePrimaryCtxReset_v2, |call| unsafe { reset(call, device_ok, 3) });
        let [ended, reading] = events()[..] else { panic!("an end and a reading") };
        assert_eq!((ended.op, ended.device), (Op::Reset, 3));
        let got = (reading.op, reading.address, reading.size, reading.device);
        assert_eq!(got, (Op::PoolReading, 0x900, 4096, 3));
    }

    static ACTIVE: AtomicBool = AtomicBool::new(true);

    extern "C" fn state_of_one(device: i32, _: *mut u32, active: *mut i32) -> Status {
        // SAFETY: the driver's questions pass valid pointers.
        unsafe { *active = i32::from(device == 1 && ACTIVE.load(Relaxed)) };
        SUCCESS
    }

    extern "C" fn destroy_last(_: u64) -> Status {
        ACTIVE.store(false, Relaxed);
        SUCCESS
    }

    #[test]
    fn a_green_context_that_held_a_primary_one_as_the_last_ends_it() {
        let hooks = recording();
        hooks.driver.set("cuDevicePrimaryCtxGetState", state_of_one as *const () as usize);
        let mut out = 0;
        // SAFETY: valid arguments.
        on(&hooks, Api::cuCtxCreate_v2, |call| unsafe {
            create(call, create_ok, &raw mut out, 0, 1)
        });
        events();
        for (real, want) in [(destroy_ok as Destroy, &[][..]), (destroy_last, &[1])] {
            // SAFETY: the real ones take any number.
            on(&hooks, Api::cuGreenCtxDestroy, |call| unsafe { destroy_green(call, real, 0x77) });
            let ended: Vec<u8> = events().iter().map(|event| event.device).collect();
            assert_eq!(ended, want);
        }
    }

    #[test]
    fn captures_end_with_the_primary_context_where_there_is_no_other() {
        let left_after_reset_of = |device, prepare: fn(&Hooks)| {
            let hooks = recording();
            let mut out = 0;
            // SAFETY: valid arguments.
            on(&hooks, Api::cuDevicePrimaryCtxRetain, |call| unsafe {
                retain(call, retain_ok, &raw mut out, 0)
            });
            prepare(&hooks);
            hooks.count_capture(true);
            // SAFETY: the real one takes any number.
            on(&hooks, Api::cuDevicePrimaryCtxReset_v2, |call| unsafe {
                reset(call, device_ok, device)
            });
            events();
            hooks.captures()
        };
        let make_own = |hooks: &Hooks| {
            let mut out = 0;
            // SAFETY: valid arguments.
            on(hooks, Api::cuCtxCreate_v2, |call| unsafe {
                create(call, create_ok, &raw mut out, 0, 0)
            });
        };
        assert_eq!(left_after_reset_of(0, |_| ()), 0);
        assert_eq!(left_after_reset_of(1, |_| ()), 1, "it may be on the other device");
        assert_eq!(left_after_reset_of(0, make_own), 1, "it may be in the program's own context");
    }

    #[test]
    fn a_context_that_is_destroyed_is_named_before_and_after() {
        for (real, result) in [(destroy_ok as Destroy, 0), (detach_fails, 201)] {
            // SAFETY: the real ones take any number.
            on(&recording(), Api::cuCtxDestroy_v2, |call| unsafe { destroy(call, real, 0xc1) });
            let [before, after] = events()[..] else { panic!("two halves") };
            assert_eq!((before.op, before.aux, before.device), (Op::Resetting, 0xc1, UNKNOWN));
            assert_eq!((after.op, after.aux, after.result), (Op::Reset, 0xc1, result));
        }
    }

    /// References to context 0xc1, which is current as long as there are some.
    static REFERENCES: AtomicU32 = AtomicU32::new(0);

    extern "C" fn current(out: *mut u64) -> Status {
        // SAFETY: the driver's questions pass valid pointers.
        unsafe { *out = if REFERENCES.load(Relaxed) > 0 { 0xc1 } else { 0xc0 } };
        SUCCESS
    }

    extern "C" fn detach_one(_: u64) -> Status {
        REFERENCES.fetch_sub(1, Relaxed);
        SUCCESS
    }

    extern "C" fn detach_fails(_: u64) -> Status {
        201
    }

    #[test]
    fn only_the_last_detach_ends_a_context() {
        let hooks = recording();
        hooks.driver.set("cuCtxGetCurrent", current as *const () as usize);
        let step = |real, context| {
            // SAFETY: the real ones take any number.
            on(&hooks, Api::cuCtxDetach, |call| unsafe { detach(call, real, context) });
            events().iter().map(|event| (event.op, event.aux)).collect::<Vec<_>>()
        };
        REFERENCES.store(2, Relaxed);
        assert_eq!(step(detach_fails, 0xc1), []);
        assert_eq!(step(detach_one, 0xc1), [], "one reference is left");
        assert_eq!(step(detach_one, 0xc1), [(Op::Reset, 0xc1)]);
        REFERENCES.store(1, Relaxed);
        assert_eq!(step(detach_one, 0xc2), [], "nothing is known of what was not current");
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
