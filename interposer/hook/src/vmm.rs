//! Virtual memory management: physical handles, address ranges, and the mappings between them.

use wire::{device::UNKNOWN, record::Class};

use crate::{
    abi::{AllocationProp, OUT_OF_MEMORY, SUCCESS, Status},
    event::{Event, Op},
    hooks::{Call, Note},
};

type Create = unsafe extern "C" fn(*mut u64, u64, *const AllocationProp, u64) -> Status;
type Release = unsafe extern "C" fn(u64) -> Status;
type Map = unsafe extern "C" fn(u64, u64, u64, u64, u64) -> Status;
type Unmap = unsafe extern "C" fn(u64, u64) -> Status;
type Reserve = unsafe extern "C" fn(*mut u64, u64, u64, u64, u64) -> Status;
type Retain = unsafe extern "C" fn(*mut u64, u64) -> Status;
type Import = unsafe extern "C" fn(*mut u64, u64, u32) -> Status;

/// `cuMemCreate`: physical memory, on a device or in the host's RAM.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn create(
    call: &Call<'_>,
    real: Create,
    out: *mut u64,
    size: u64,
    props: *const AllocationProp,
    flags: u64,
) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(out, size, props, flags) };
    if let Some(note) = guard.note(status) {
        // SAFETY: the program's own out-parameter.
        let address = unsafe { note.read(out) };
        // Other failures may come before the driver ever looked at the properties.
        let props =
            if matches!(status, SUCCESS | OUT_OF_MEMORY) { props } else { core::ptr::null() };
        // SAFETY: the driver read this too.
        let place = unsafe { props.as_ref() }.map(|props| props.location);
        let (class, device) = match place.map(|place| place.device()) {
            Some(Some(device)) => (Class::Handle, device),
            Some(None) => (Class::Host, UNKNOWN),
            None => (Class::Handle, UNKNOWN),
        };
        note.took(Event { class, address, size, device, ..note.event(Op::Took) });
    }
    status
}

/// `cuMemRelease`: one reference of the program less.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn release(call: &Call<'_>, real: Release, handle: u64) -> Status {
    let guard = call.enter();
    let classes = [Class::Handle, Class::ImportedHandle, Class::Host];
    let mut end = guard.giving_back(handle, 0, &classes);
    // SAFETY: the program's own call.
    let status = unsafe { real(handle) };
    guard.gave_back(&mut end, status);
    status
}

/// `cuMemMap`.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn map(
    call: &Call<'_>,
    real: Map,
    address: u64,
    size: u64,
    offset: u64,
    handle: u64,
    flags: u64,
) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(address, size, offset, handle, flags) };
    if let Some(note) = guard.note(status) {
        let address = if note.succeeded() { address } else { 0 };
        let device = note.driver().handle_device(handle).unwrap_or_else(|| note.current_device());
        let event = note.event(Op::Took);
        let class = Class::Mapping;
        note.took(Event { class, address, size, aux: handle, extra: offset, device, ..event });
    }
    status
}

/// `cuMemUnmap`: of one mapping, or of several that lie side by side.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn unmap(call: &Call<'_>, real: Unmap, address: u64, size: u64) -> Status {
    let guard = call.enter();
    let classes = [Class::Mapping];
    let mut end = guard.giving_back(address, size, &classes);
    let mut done = end.found().map_or(size, |found| found.size);
    // SAFETY: the program's own call.
    let status = unsafe { real(address, size) };
    guard.gave_back(&mut end, status);
    while status == SUCCESS && done < size {
        // The addresses are the program's until it gives the reservation back, so the others may
        // be settled now.
        let mut end = guard.giving_back(address.saturating_add(done), size - done, &classes);
        let Some(next) = end.found().map(|found| found.size).filter(|size| *size != 0) else {
            break;
        };
        guard.gave_back(&mut end, status);
        done = done.saturating_add(next);
    }
    status
}

/// `cuMemAddressReserve`: address space, no memory.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn reserve(
    call: &Call<'_>,
    real: Reserve,
    out: *mut u64,
    size: u64,
    alignment: u64,
    wish: u64,
    flags: u64,
) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(out, size, alignment, wish, flags) };
    if let Some(note) = guard.note(status) {
        // SAFETY: the program's own out-parameter.
        let address = unsafe { note.read(out) };
        let device = note.current_device();
        let class = Class::Reservation;
        note.took(Event { class, address, size, device, ..note.event(Op::Took) });
    }
    status
}

/// `cuMemAddressFree`.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn unreserve(call: &Call<'_>, real: Unmap, address: u64, size: u64) -> Status {
    let guard = call.enter();
    let mut end = guard.giving_back(address, size, &[Class::Reservation]);
    // SAFETY: the program's own call.
    let status = unsafe { real(address, size) };
    guard.gave_back(&mut end, status);
    status
}

/// `cuMemRetainAllocationHandle`: the handle mapped at `address`, with one more reference to it.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn retain(call: &Call<'_>, real: Retain, out: *mut u64, address: u64) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(out, address) };
    if let Some(note) = guard.note(status).filter(Note::succeeded) {
        // SAFETY: the program's own out-parameter.
        let handle = unsafe { note.read(out) };
        note.publish(Event { class: Class::Handle, address: handle, ..note.event(Op::Retained) });
    }
    status
}

/// `cuMemImportFromShareableHandle`: another process's memory. Its size is not known before it is
/// mapped.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn import(
    call: &Call<'_>,
    real: Import,
    out: *mut u64,
    shared: u64,
    kind: u32,
) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(out, shared, kind) };
    if let Some(note) = guard.note(status) {
        // SAFETY: the program's own out-parameter.
        let address = unsafe { note.read(out) };
        let device = note
            .driver()
            .handle_device(address)
            .filter(|_| note.succeeded())
            .unwrap_or_else(|| note.current_device());
        let class = Class::ImportedHandle;
        note.took(Event { class, address, device, ..note.event(Op::Took) });
    }
    status
}
