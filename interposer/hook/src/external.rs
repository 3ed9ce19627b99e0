//! Memory of other interfaces, seen through CUDA: imported by a handle of theirs, or lent by a
//! graphics resource while it is mapped. It belongs to whoever made it.

use wire::record::Class;

use crate::{
    abi::{ExternalBuffer, ExternalHandle, OUT_OF_MEMORY, SUCCESS, Status, read},
    call::Call,
    event::{Event, Op},
};

type Import = unsafe extern "C" fn(*mut u64, *const ExternalHandle) -> Status;
type MapBuffer = unsafe extern "C" fn(*mut u64, u64, *const ExternalBuffer) -> Status;
type MapArray = unsafe extern "C" fn(*mut u64, u64, usize) -> Status;
type Destroy = unsafe extern "C" fn(u64) -> Status;
type MappedPointer<W> = unsafe extern "C" fn(*mut W, *mut W, u64) -> Status;
type Unmap = unsafe extern "C" fn(u32, *mut u64, u64) -> Status;

/// `cuImportExternalMemory`.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn import(
    call: &Call<'_>,
    real: Import,
    out: *mut u64,
    handle: *const ExternalHandle,
) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(out, handle) };
    if let Some(note) = guard.note(status) {
        // SAFETY: the program's own out-parameter.
        let address = unsafe { note.read(out) };
        // Other failures may come before the driver ever looked at the handle.
        let looked = matches!(status, SUCCESS | OUT_OF_MEMORY);
        // SAFETY: the driver read this too.
        let handle = looked.then(|| unsafe { read(handle) }).flatten();
        let size = handle.map_or(0, |handle| handle.size);
        let (class, device) = (Class::External, note.current_device());
        let extra = note.driver().context().unwrap_or_default();
        note.took(Event { class, address, size, extra, device, ..note.event(Op::Took) });
    }
    status
}

/// `cuExternalMemoryGetMappedBuffer`: addresses for a part of it.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn map_buffer(
    call: &Call<'_>,
    real: MapBuffer,
    out: *mut u64,
    memory: u64,
    buffer: *const ExternalBuffer,
) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(out, memory, buffer) };
    if let Some(note) = guard.note(status) {
        // SAFETY: the program's own out-parameter.
        let address = unsafe { note.read(out) };
        // SAFETY: read only after success, when the driver has read it.
        let buffer = note.succeeded().then(|| unsafe { read(buffer) }).flatten();
        let size = buffer.map_or(0, |buffer| buffer.size);
        let (class, device) = (Class::View, note.current_device());
        let (aux, extra) = (memory, note.driver().context().unwrap_or_default());
        note.took(Event { class, address, size, aux, extra, device, ..note.event(Op::Took) });
    }
    status
}

/// `cuExternalMemoryGetMappedMipmappedArray`: an array over a part of it.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn map_array(
    call: &Call<'_>,
    real: MapArray,
    out: *mut u64,
    memory: u64,
    array: usize,
) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(out, memory, array) };
    if let Some(note) = guard.note(status) {
        // SAFETY: the program's own out-parameter.
        let address = unsafe { note.read(out) };
        let (class, device) = (Class::View, note.current_device());
        let (aux, extra) = (memory, note.driver().context().unwrap_or_default());
        note.took(Event { class, address, aux, extra, device, ..note.event(Op::Took) });
    }
    status
}

/// `cuDestroyExternalMemory`.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn destroy(call: &Call<'_>, real: Destroy, memory: u64) -> Status {
    let guard = call.enter();
    let mut end = guard.giving_back(memory, 0, &[Class::External]);
    // SAFETY: the program's own call.
    let status = unsafe { real(memory) };
    guard.gave_back(&mut end, status);
    status
}

/// `cuGraphicsResourceGetMappedPointer`, of 32 bits or of 64: the first call that tells where a
/// mapped resource lies and how large it is. It may be asked again.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn mapped_pointer<W: Copy + Into<u64>>(
    call: &Call<'_>,
    real: MappedPointer<W>,
    out: *mut W,
    size: *mut W,
    resource: u64,
) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(out, size, resource) };
    guard.ended(status, resource, &[Class::External]);
    if let Some(note) = guard.note(status) {
        // SAFETY: the program's own out-parameter.
        let aux = unsafe { note.read(out) };
        // SAFETY: as above.
        let size = unsafe { note.read(size) };
        let (class, device) = (Class::External, note.current_device());
        let extra = note.driver().context().unwrap_or_default();
        let event = note.event(Op::Took);
        let address = if note.succeeded() { resource } else { 0 };
        note.took(Event { class, address, size, aux, extra, device, ..event });
    }
    status
}

/// `cuGraphicsUnmapResources`: of `count` resources at once. They keep their names, so nothing has to
/// be said before the real call.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn unmap(
    call: &Call<'_>,
    real: Unmap,
    count: u32,
    resources: *mut u64,
    stream: u64,
) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(count, resources, stream) };
    if status == SUCCESS {
        for place in 0..count as usize {
            // SAFETY: the call succeeded, so the driver read all of them.
            let Some(resource) = (unsafe { read(resources.wrapping_add(place)) }) else { break };
            guard.ended(status, resource, &[Class::External]);
        }
    }
    status
}

/// `cuGraphicsUnregisterResource`.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn unregister(call: &Call<'_>, real: Destroy, resource: u64) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(resource) };
    guard.ended(status, resource, &[Class::External]);
    status
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        table::Api,
        testing::{event, events, on, ops, recording},
    };

    extern "C" fn import_ok(out: *mut u64, _: *const ExternalHandle) -> Status {
        // SAFETY: the tests pass valid pointers.
        unsafe { *out = 0xe1 };
        SUCCESS
    }

    extern "C" fn import_fails(_: *mut u64, _: *const ExternalHandle) -> Status {
        999
    }

    extern "C" fn map_ok(out: *mut u64, _: u64, _: *const ExternalBuffer) -> Status {
        // SAFETY: as above.
        unsafe { *out = 0x5000 };
        SUCCESS
    }

    #[test]
    fn what_was_imported_counts_once_however_it_is_shown() {
        let hooks = recording();
        let handle = ExternalHandle { kind: 1, handle: [3, 0], size: 1 << 20 };
        let mut out = 0;
        // SAFETY: valid arguments.
        on(&hooks, Api::cuImportExternalMemory, |call| unsafe {
            import(call, import_ok, &raw mut out, &raw const handle)
        });
        let memory = event();
        assert_eq!((memory.class, memory.address, memory.size), (Class::External, 0xe1, 1 << 20));
        let buffer = ExternalBuffer { offset: 0, size: 4096 };
        // SAFETY: valid arguments.
        on(&hooks, Api::cuExternalMemoryGetMappedBuffer, |call| unsafe {
            map_buffer(call, map_ok, &raw mut out, 0xe1, &raw const buffer)
        });
        let view = event();
        let got = (view.class, view.address, view.size, view.aux);
        assert_eq!(got, (Class::View, 0x5000, 4096, 0xe1));
    }

    #[test]
    fn a_handle_that_the_driver_may_not_have_read_is_not_read() {
        let mut out = 0;
        // SAFETY: the function given as the real one looks at nothing.
        on(&recording(), Api::cuImportExternalMemory, |call| unsafe {
            import(call, import_fails, &raw mut out, core::ptr::dangling())
        });
        assert_eq!((event().result, out), (999, 0));
    }

    extern "C" fn pointer_ok(out: *mut u64, size: *mut u64, _: u64) -> Status {
        // SAFETY: the tests pass valid pointers.
        unsafe { *out = 0x7000 };
        // SAFETY: as above.
        unsafe { *size = 640 };
        SUCCESS
    }

    extern "C" fn unmap_ok(_: u32, _: *mut u64, _: u64) -> Status {
        SUCCESS
    }

    extern "C" fn unmap_fails(_: u32, _: *mut u64, _: u64) -> Status {
        1
    }

    #[test]
    fn a_resource_is_there_while_it_is_mapped() {
        let hooks = recording();
        let (mut out, mut size) = (0, 0);
        // SAFETY: valid arguments.
        on(&hooks, Api::cuGraphicsResourceGetMappedPointer_v2, |call| unsafe {
            mapped_pointer(call, pointer_ok, &raw mut out, &raw mut size, 0x91)
        });
        let [before, mapped] = events()[..] else { panic!("replaced and taken") };
        assert_eq!((before.op, before.address), (Op::Ended, 0x91));
        let got = (mapped.class, mapped.address, mapped.size, mapped.aux);
        assert_eq!(got, (Class::External, 0x91, 640, 0x7000));
        for (real, want) in [(unmap_fails as Unmap, &[][..]), (unmap_ok, &[0x91, 0x92])] {
            let mut resources = [0x91, 0x92];
            // SAFETY: valid arguments.
            on(&hooks, Api::cuGraphicsUnmapResources, |call| unsafe {
                unmap(call, real, 2, resources.as_mut_ptr(), 0)
            });
            let ended: Vec<u64> = events().iter().map(|event| event.address).collect();
            assert_eq!(ended, want);
        }
        // SAFETY: nothing is read of no resources.
        on(&hooks, Api::cuGraphicsUnmapResources, |call| unsafe {
            unmap(call, unmap_ok, 1, core::ptr::null_mut(), 0)
        });
        assert_eq!(ops(), []);
    }
}
