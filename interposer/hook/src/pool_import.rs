//! Pools of other processes, and allocations in them: memory that belongs to who made the pool.

use wire::record::Class;

use crate::{
    abi::{IpcHandle, Status},
    call::Call,
    event::{Event, Op},
    share,
};

type Import = unsafe extern "C" fn(*mut u64, u64, u32, u64) -> Status;
type ImportPointer = unsafe extern "C" fn(*mut u64, u64, *mut IpcHandle) -> Status;

/// `cuMemPoolImportFromShareableHandle`.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn import(
    call: &Call<'_>,
    real: Import,
    out: *mut u64,
    shared: u64,
    kind: u32,
    flags: u64,
) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(out, shared, kind, flags) };
    if let Some(note) = guard.note(status) {
        // SAFETY: the program's own out-parameter.
        let address = unsafe { note.read(out) };
        // SAFETY: the program's own handle; read only after success, when the driver has read it.
        let aux = if note.succeeded() { unsafe { share::of_importable(kind, shared) } } else { 0 };
        let (class, device) = (Class::ImportedPool, note.current_device());
        note.took(Event { class, address, aux, device, ..note.event(Op::Took) });
    }
    status
}

/// `cuMemPoolImportPointer`. Given back like any other pointer, by `cuMemFree` or `cuMemFreeAsync`.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn import_pointer(
    call: &Call<'_>,
    real: ImportPointer,
    out: *mut u64,
    pool: u64,
    shared: *mut IpcHandle,
) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(out, pool, shared) };
    if let Some(note) = guard.note(status) {
        // SAFETY: the program's own out-parameter.
        let address = unsafe { note.read(out) };
        let range = if note.succeeded() { note.driver().range_of(address) } else { None };
        let (size, device) = (range.map_or(0, |(_, size)| size), note.device_of(address));
        // SAFETY: the program's own handle; read only after success, when the driver has read it.
        let aux = if note.succeeded() { unsafe { share::of_handle(shared) } } else { 0 };
        let class = Class::ImportedBlock;
        note.took(Event { class, address, size, aux, device, ..note.event(Op::Took) });
    }
    status
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        abi::SUCCESS,
        table::Api,
        testing::{event, lies_on_four, on, recording},
    };

    extern "C" fn import_ok(out: *mut u64, _: u64, _: u32, _: u64) -> Status {
        // SAFETY: the tests pass valid pointers.
        unsafe { *out = 0x900 };
        SUCCESS
    }

    extern "C" fn pointer_ok(out: *mut u64, _: u64, _: *mut IpcHandle) -> Status {
        // SAFETY: as above.
        unsafe { *out = 0x5000 };
        SUCCESS
    }

    extern "C" fn range(base: *mut u64, size: *mut u64, _: u64) -> Status {
        // SAFETY: the driver's questions pass valid pointers.
        unsafe { *base = 0x5000 };
        // SAFETY: as above.
        unsafe { *size = 1 << 20 };
        SUCCESS
    }

    #[test]
    fn what_is_opened_in_a_pool_lies_on_its_own_device_and_not_on_the_current_one() {
        let hooks = recording();
        hooks.driver.set("cuPointerGetAttribute", lies_on_four as *const () as usize);
        let (mut out, mut shared) = (0, IpcHandle::new([7; 64]));
        // SAFETY: valid arguments.
        on(&hooks, Api::cuMemPoolImportPointer, |call| unsafe {
            import_pointer(call, pointer_ok, &raw mut out, 0x900, &raw mut shared)
        });
        assert_eq!(event().device, 4);
    }

    #[test]
    fn an_imported_pool_has_no_bytes_and_what_is_opened_in_it_has() {
        let hooks = recording();
        hooks.driver.set("cuMemGetAddressRange_v2", range as *const () as usize);
        let (mut out, mut shared) = (0, IpcHandle::new([7; 64]));
        // SAFETY: valid arguments.
        on(&hooks, Api::cuMemPoolImportFromShareableHandle, |call| unsafe {
            import(call, import_ok, &raw mut out, 3, 2, 0)
        });
        let pool = event();
        assert_eq!((pool.class, pool.address, pool.size), (Class::ImportedPool, 0x900, 0));
        // SAFETY: valid arguments.
        on(&hooks, Api::cuMemPoolImportPointer, |call| unsafe {
            import_pointer(call, pointer_ok, &raw mut out, 0x900, &raw mut shared)
        });
        let block = event();
        assert_eq!(
            (block.class, block.address, block.size),
            (Class::ImportedBlock, 0x5000, 1 << 20)
        );
        // SAFETY: our own handle.
        assert_eq!(block.aux, unsafe { share::of_handle(&raw const shared) });
        assert_ne!(block.aux, 0, "it is known by what travelled");
    }
}
