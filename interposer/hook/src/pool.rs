//! Pools of stream-ordered memory. Their reserve is what the device lacks.
//!
//! It changes without a call of its own, so it is read after each call that may change it.

use core::ffi::c_void;

use wire::{device::UNKNOWN, record::Class};

use crate::{
    abi::{IpcHandle, POOL_RESERVED, POOL_USED, PoolProps, Status},
    call::{Call, Guard, Note},
    event::{Event, KNOWN_POOL, Op},
    share,
};

type Create = unsafe extern "C" fn(*mut u64, *const PoolProps) -> Status;
type Destroy = unsafe extern "C" fn(u64) -> Status;
type Trim = unsafe extern "C" fn(u64, u64) -> Status;
type Export = unsafe extern "C" fn(*mut c_void, u64, u32, u64) -> Status;
type ExportPointer = unsafe extern "C" fn(*mut IpcHandle, u64) -> Status;
type GetAttribute = unsafe extern "C" fn(u64, u32, *mut u64) -> Status;

/// `of` is 0, or [`KNOWN_POOL`].
fn publish_reading(note: &Note<'_>, pool: u64, reserved: u64, device: u8, of: u64) {
    let aux = note.driver().pool_attribute(pool, POOL_USED).unwrap_or_default();
    let (class, event) = (Class::Pool, note.event(Op::PoolReading));
    note.publish(Event { class, address: pool, size: reserved, aux, extra: of, device, ..event });
}

/// Reads the reserve of a pool that something was given back to. Once that is done another thread may
/// destroy the pool, which then is none any more.
pub(crate) fn read_after_free(guard: &Guard<'_>, status: Status, pool: u64) {
    if let Some(note) = guard.note(status).filter(Note::succeeded)
        && let Some(reserved) = note.driver().pool_attribute(pool, POOL_RESERVED)
    {
        publish_reading(&note, pool, reserved, note.current_device(), KNOWN_POOL);
    }
}

/// Reads `pool`'s reserve after a call that may have changed it.
pub(crate) fn read(guard: &Guard<'_>, status: Status, pool: u64) {
    let Some(note) = guard.note(status).filter(Note::succeeded) else { return };
    let device = note.current_device();
    read_for(&note, pool, device);
}

/// The same for a pool that is known to lie on `device`.
pub(crate) fn read_on(guard: &Guard<'_>, status: Status, pool: u64, device: u8) {
    if let Some(note) = guard.note(status).filter(Note::succeeded) {
        read_for(&note, pool, device);
    }
}

/// The same after a call that is known to have succeeded.
pub(crate) fn read_for(note: &Note<'_>, pool: u64, device: u8) {
    if let Some(reserved) = note.driver().pool_attribute(pool, POOL_RESERVED) {
        publish_reading(note, pool, reserved, device, 0);
    }
}

/// `cuMemPoolCreate`.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn create(
    call: &Call<'_>,
    real: Create,
    out: *mut u64,
    props: *const PoolProps,
) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(out, props) };
    if let Some(note) = guard.note(status) {
        // SAFETY: the program's own out-parameter.
        let address = unsafe { note.read(out) };
        let props = if note.succeeded() { props } else { core::ptr::null() };
        // SAFETY: the call succeeded, so the driver read this too.
        let props = unsafe { props.as_ref() };
        let device = props.and_then(|props| props.location.device()).unwrap_or(UNKNOWN);
        note.publish(Event { class: Class::Pool, address, device, ..note.event(Op::Took) });
    }
    status
}

/// `cuMemPoolDestroy`.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn destroy(call: &Call<'_>, real: Destroy, pool: u64) -> Status {
    let guard = call.enter();
    let mut end = guard.giving_back(pool, 0, &[Class::Pool, Class::ImportedPool]);
    // SAFETY: the program's own call.
    let status = unsafe { real(pool) };
    guard.gave_back(&mut end, status);
    status
}

/// `cuMemPoolTrimTo`.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn trim(call: &Call<'_>, real: Trim, pool: u64, keep: u64) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(pool, keep) };
    read(&guard, status, pool);
    status
}

/// `cuMemPoolGetAttribute`: a reserve that the program reads is a reading for us too.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn get_attribute(
    call: &Call<'_>,
    real: GetAttribute,
    pool: u64,
    attribute: u32,
    value: *mut u64,
) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(pool, attribute, value) };
    if attribute == POOL_RESERVED
        && let Some(note) = guard.note(status).filter(Note::succeeded)
    {
        // SAFETY: the program's own out-parameter, of 64 bits for this attribute.
        let reserved = unsafe { note.read(value) };
        publish_reading(&note, pool, reserved, note.current_device(), 0);
    }
    status
}

/// `cuMemPoolExportToShareableHandle`: others may open this pool.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn export(
    call: &Call<'_>,
    real: Export,
    out: *mut c_void,
    pool: u64,
    kind: u32,
    flags: u64,
) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(out, pool, kind, flags) };
    if let Some(note) = guard.note(status).filter(Note::succeeded) {
        // SAFETY: the program's own out-parameter, which the call filled with this kind of handle.
        let aux = unsafe { share::of_exported(kind, out) };
        let (class, device) = (Class::Pool, note.current_device());
        note.publish(Event { class, address: pool, aux, device, ..note.event(Op::Exported) });
    }
    status
}

/// `cuMemPoolExportPointer`: a block goes to those who opened its pool.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn export_pointer(
    call: &Call<'_>,
    real: ExportPointer,
    out: *mut IpcHandle,
    address: u64,
) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(out, address) };
    if let Some(note) = guard.note(status).filter(Note::succeeded) {
        // SAFETY: the program's own out-parameter, which the call filled.
        let aux = unsafe { share::of_handle(out) };
        let (class, device) = (Class::PoolBlock, note.current_device());
        note.publish(Event { class, address, aux, device, ..note.event(Op::Exported) });
    }
    status
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{
        abi::{Location, SUCCESS},
        hooks::Hooks,
        table::Api,
        testing::{event, on, ops, recording},
    };

    extern "C" fn pair_ok(_: u64, _: u64) -> Status {
        SUCCESS
    }

    extern "C" fn create_ok(out: *mut u64, _: *const PoolProps) -> Status {
        // SAFETY: the tests pass valid pointers.
        unsafe { *out = 0x900 };
        SUCCESS
    }

    /// What a pool has: 4096 bytes, 64 of them in use.
    pub(crate) extern "C" fn attribute(_: u64, attribute: u32, out: *mut u64) -> Status {
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
    fn a_reserve_that_the_program_reads_is_a_reading_and_other_attributes_are_not() {
        let hooks = hooks();
        let mut value = 0;
        for (which, want) in [(POOL_RESERVED, &[Op::PoolReading][..]), (POOL_USED, &[])] {
            // SAFETY: valid arguments.
            on(&hooks, Api::cuMemPoolGetAttribute, |call| unsafe {
                get_attribute(call, attribute, 0x900, which, &raw mut value)
            });
            assert_eq!(ops(), want);
        }
    }

    #[test]
    fn a_pool_lies_on_the_device_of_its_properties() {
        for (kind, device) in [(1, 5), (2, UNKNOWN)] {
            let location = Location { kind, id: 5 };
            let props = PoolProps { kind: 1, handle_types: 0, location };
            let mut out = 0;
            // SAFETY: valid arguments.
            on(&hooks(), Api::cuMemPoolCreate, |call| unsafe {
                create(call, create_ok, &raw mut out, &raw const props)
            });
            let pool = event();
            assert_eq!((pool.class, pool.address, pool.device), (Class::Pool, 0x900, device));
        }
    }

    #[test]
    fn a_trim_is_followed_by_a_reading() {
        let hooks = hooks();
        // SAFETY: the real one takes any numbers.
        on(&hooks, Api::cuMemPoolTrimTo, |call| unsafe { trim(call, pair_ok, 0x900, 0) });
        let reading = event();
        assert_eq!((reading.address, reading.extra), (0x900, 0));
    }
}
