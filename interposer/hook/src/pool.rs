//! Stream-ordered memory: blocks of a pool, and the pool's reserve, which is what the device lacks.
//!
//! The reserve changes without a call of its own, so it is read after each call that may change it.
//! While its stream is being captured such a call only adds a node to a graph and is let through.

use wire::{device::UNKNOWN, record::Class};

use crate::{
    abi::{POOL_RESERVED, POOL_USED, PoolProps, Status},
    event::{Event, Op},
    hooks::{Call, Guard, Note},
};

type Alloc = unsafe extern "C" fn(*mut u64, u64, u64) -> Status;
type AllocFrom = unsafe extern "C" fn(*mut u64, u64, u64, u64) -> Status;
type Free = unsafe extern "C" fn(u64, u64) -> Status;
type Create = unsafe extern "C" fn(*mut u64, *const PoolProps) -> Status;
type Destroy = unsafe extern "C" fn(u64) -> Status;
type Trim = unsafe extern "C" fn(u64, u64) -> Status;
type GetAttribute = unsafe extern "C" fn(u64, u32, *mut u64) -> Status;

fn publish_reading(note: &Note<'_>, pool: u64, reserved: u64) {
    let used = note.driver().pool_attribute(pool, POOL_USED).unwrap_or_default();
    let device = note.current_device();
    let event = note.event(Op::PoolReading);
    note.publish(Event {
        class: Class::Pool,
        address: pool,
        size: reserved,
        aux: used,
        device,
        ..event
    });
}

/// Reads `pool`'s reserve after a call that may have changed it.
pub(crate) fn read(guard: &Guard<'_>, status: Status, pool: u64) {
    let Some(note) = guard.note(status).filter(Note::succeeded) else { return };
    if let Some(reserved) = note.driver().pool_attribute(pool, POOL_RESERVED) {
        publish_reading(&note, pool, reserved);
    }
}

/// What a call for `size` bytes gave. `pool` is where it was to come from, if the call said so.
///
/// # Safety
/// `out` is the program's out-parameter of the call that returned `status`.
unsafe fn took(guard: &Guard<'_>, status: Status, out: *const u64, size: u64, pool: Option<u64>) {
    let Some(note) = guard.note(status) else { return };
    // SAFETY: the caller's promise.
    let address = unsafe { note.read(out) };
    let device = note.current_device();
    let pool = pool
        .or_else(|| note.driver().pool_of(address).filter(|_| note.succeeded()))
        .or_else(|| note.driver().pool_of_device(device))
        .unwrap_or_default();
    let class = Class::PoolBlock;
    note.took(Event { class, address, size, aux: pool, device, ..note.event(Op::Took) });
    read(guard, status, pool);
}

/// `cuMemAllocAsync`.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn alloc(call: &Call<'_>, real: Alloc, out: *mut u64, size: u64, stream: u64) -> Status {
    let guard = call.enter();
    let captured = guard.captured(stream);
    // SAFETY: the program's own call.
    let status = unsafe { real(out, size, stream) };
    if !captured {
        // SAFETY: the program's own out-parameter.
        unsafe { took(&guard, status, out, size, None) };
    }
    status
}

/// `cuMemAllocFromPoolAsync`.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn alloc_from(
    call: &Call<'_>,
    real: AllocFrom,
    out: *mut u64,
    size: u64,
    pool: u64,
    stream: u64,
) -> Status {
    let guard = call.enter();
    let captured = guard.captured(stream);
    // SAFETY: the program's own call.
    let status = unsafe { real(out, size, pool, stream) };
    if !captured {
        // SAFETY: the program's own out-parameter.
        unsafe { took(&guard, status, out, size, Some(pool)) };
    }
    status
}

/// `cuMemFreeAsync`: the block is gone, its memory stays in the pool's reserve.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn free(call: &Call<'_>, real: Free, address: u64, stream: u64) -> Status {
    let guard = call.enter();
    if guard.captured(stream) {
        // SAFETY: the program's own call.
        return unsafe { real(address, stream) };
    }
    let mut end = guard.giving_back(address, 0, &[Class::PoolBlock]);
    let pool = guard.pool_of(address);
    // SAFETY: the program's own call.
    let status = unsafe { real(address, stream) };
    guard.gave_back(&mut end, status);
    if let Some(pool) = pool {
        read(&guard, status, pool);
    }
    status
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
    if let Some(note) = guard.note(status).filter(Note::succeeded) {
        // SAFETY: the program's own out-parameter.
        let address = unsafe { note.read(out) };
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
    let mut end = guard.giving_back(pool, 0, &[Class::Pool]);
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
        publish_reading(&note, pool, reserved);
    }
    status
}
