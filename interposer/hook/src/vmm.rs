//! Virtual memory management: physical handles, address ranges, and the mappings between them.

use core::ffi::c_void;

use wire::{device::UNKNOWN, record::Class};

use crate::{
    abi::{AllocationProp, OUT_OF_MEMORY, SUCCESS, Status},
    call::{Call, Note},
    event::{Event, Op},
    share,
};

type Create = unsafe extern "C" fn(*mut u64, u64, *const AllocationProp, u64) -> Status;
type Release = unsafe extern "C" fn(u64) -> Status;
type Map = unsafe extern "C" fn(u64, u64, u64, u64, u64) -> Status;
type Unmap = unsafe extern "C" fn(u64, u64) -> Status;
type Reserve = unsafe extern "C" fn(*mut u64, u64, u64, u64, u64) -> Status;
type Retain = unsafe extern "C" fn(*mut u64, u64) -> Status;
type Export = unsafe extern "C" fn(*mut c_void, u64, u32, u64) -> Status;
type RangeExport = unsafe extern "C" fn(*mut c_void, u64, u64, u32, u64) -> Status;
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
    let classes = [Class::Handle, Class::ImportedHandle, Class::Multicast, Class::Host];
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

/// `cuMemUnmap`: of one mapping, or of several that lie side by side, which the recorder finds.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn unmap(call: &Call<'_>, real: Unmap, address: u64, size: u64) -> Status {
    let guard = call.enter();
    let mut end = guard.giving_back(address, size, &[Class::Mapping]);
    // SAFETY: the program's own call.
    let status = unsafe { real(address, size) };
    guard.gave_back(&mut end, status);
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
        let (class, event) = (Class::Handle, note.event(Op::Retained));
        note.publish(Event { class, address: handle, extra: address, ..event });
    }
    status
}

/// `cuMemExportToShareableHandle`: a handle of this process goes to others, as a descriptor or a fabric
/// handle.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn export(
    call: &Call<'_>,
    real: Export,
    out: *mut c_void,
    handle: u64,
    kind: u32,
    flags: u64,
) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(out, handle, kind, flags) };
    if let Some(note) = guard.note(status).filter(Note::succeeded) {
        // SAFETY: the program's own out-parameter, which the call filled with this kind of handle.
        let aux = unsafe { share::of_exported(kind, out) };
        let device = note.driver().handle_device(handle).unwrap_or_else(|| note.current_device());
        let event = note.event(Op::Exported);
        note.publish(Event { class: Class::Handle, address: handle, aux, device, ..event });
    }
    status
}

/// `cuMemGetHandleForAddressRange`: a range goes to another driver as a DMA buffer. Whoever opens it
/// there is no process that is traced, so that it has no identity.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn export_range(
    call: &Call<'_>,
    real: RangeExport,
    out: *mut c_void,
    address: u64,
    size: u64,
    kind: u32,
    flags: u64,
) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(out, address, size, kind, flags) };
    if let Some(note) = guard.note(status).filter(Note::succeeded) {
        let (class, device) = (Class::Mapping, note.current_device());
        note.publish(Event { class, address, size, device, ..note.event(Op::Exported) });
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
        let aux = if note.succeeded() {
            // SAFETY: the program's own argument, which the call read as this kind of handle.
            unsafe { share::of_importable(kind, shared) }
        } else {
            0
        };
        note.took(Event { class, address, aux, device, ..note.event(Op::Took) });
    }
    status
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        abi::Location,
        table::Api,
        testing::{event, events, on, recording},
    };

    extern "C" fn create_ok(out: *mut u64, _: u64, _: *const AllocationProp, _: u64) -> Status {
        // SAFETY: the tests pass valid pointers.
        unsafe { *out = 0x77 };
        SUCCESS
    }

    extern "C" fn create_invalid(_: *mut u64, _: u64, _: *const AllocationProp, _: u64) -> Status {
        1
    }

    fn create_on(real: Create, kind: u32, id: i32) -> Event {
        let location = Location { kind, id };
        let props = AllocationProp { kind: 1, handle_types: 0, location, win32: 0, flags: 0 };
        let mut out = 0;
        // SAFETY: valid arguments.
        on(&recording(), Api::cuMemCreate, |call| unsafe {
            create(call, real, &raw mut out, 4096, &raw const props, 0)
        });
        event()
    }

    #[test]
    fn a_handle_lies_on_the_device_of_its_properties_or_in_the_hosts_memory() {
        let handle = create_on(create_ok, 1, 5);
        let got = (handle.class, handle.device, handle.address, handle.size);
        assert_eq!(got, (Class::Handle, 5, 0x77, 4096));
        let host = create_on(create_ok, 3, 5);
        assert_eq!((host.class, host.device), (Class::Host, UNKNOWN));
    }

    #[test]
    fn properties_that_the_driver_may_not_have_read_are_not_read() {
        let props = core::ptr::dangling();
        let mut out = 0;
        // SAFETY: the function given as the real one looks at nothing.
        on(&recording(), Api::cuMemCreate, |call| unsafe {
            create(call, create_invalid, &raw mut out, 4096, props, 0)
        });
        let failed = event();
        let got = (failed.op, failed.result, failed.address, failed.size, failed.device);
        assert_eq!(got, (Op::Took, 1, 0, 4096, UNKNOWN));
    }

    extern "C" fn map_ok(_: u64, _: u64, _: u64, _: u64, _: u64) -> Status {
        SUCCESS
    }

    extern "C" fn unmap_fails(_: u64, _: u64) -> Status {
        1
    }

    #[test]
    fn a_mapping_names_its_handle_and_offset_and_an_unmapping_its_range() {
        let hooks = recording();
        on(&hooks, Api::cuMemMap, |call| {
            // SAFETY: the real one takes any numbers.
            unsafe { map(call, map_ok, 0x10_0000, 0x2000, 0x1000, 0x77, 0) }
        });
        let mapping = event();
        let got = (mapping.class, mapping.address, mapping.size, mapping.aux, mapping.extra);
        assert_eq!(got, (Class::Mapping, 0x10_0000, 0x2000, 0x77, 0x1000));
        on(&hooks, Api::cuMemUnmap, |call| {
            // SAFETY: as above.
            unsafe { unmap(call, unmap_fails, 0x10_0000, 0x2000) }
        });
        let [before, after] = events()[..] else { panic!("two halves") };
        assert_eq!((before.op, before.size), (Op::GivingBack, 0x2000));
        assert_eq!((after.op, after.result), (Op::GaveBack, 1));
    }

    extern "C" fn retain_ok(out: *mut u64, _: u64) -> Status {
        // SAFETY: the tests pass valid pointers.
        unsafe { *out = 0x77 };
        SUCCESS
    }

    extern "C" fn retain_fails(_: *mut u64, _: u64) -> Status {
        1
    }

    #[test]
    fn a_reference_is_counted_only_if_it_was_given() {
        let hooks = recording();
        let mut out = 0;
        for (real, want) in [(retain_ok as Retain, &[Op::Retained][..]), (retain_fails, &[])] {
            // SAFETY: valid arguments.
            on(&hooks, Api::cuMemRetainAllocationHandle, |call| unsafe {
                retain(call, real, &raw mut out, 0x10_0000)
            });
            let events = events();
            assert_eq!(events.iter().map(|event| event.op).collect::<Vec<_>>(), want);
            assert!(events.iter().all(|event| (event.address, event.extra) == (0x77, 0x10_0000)));
        }
    }
}
