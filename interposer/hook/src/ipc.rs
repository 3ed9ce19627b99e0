//! Memory of another process, opened by `cuIpcOpenMemHandle`.

use wire::record::Class;

use crate::{
    abi::{IpcHandle, Status},
    call::Call,
    event::{Event, Op},
};

type Open = unsafe extern "C" fn(*mut u64, IpcHandle, u32) -> Status;
type Close = unsafe extern "C" fn(u64) -> Status;

/// `cuIpcOpenMemHandle`.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn open(
    call: &Call<'_>,
    real: Open,
    out: *mut u64,
    handle: IpcHandle,
    flags: u32,
) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(out, handle, flags) };
    if let Some(note) = guard.note(status) {
        // SAFETY: the program's own out-parameter.
        let address = unsafe { note.read(out) };
        let size = if note.succeeded() { note.driver().size_of(address) } else { None };
        let (size, device) = (size.unwrap_or_default(), note.current_device());
        let class = Class::IpcImport;
        note.took(Event { class, address, size, device, ..note.event(Op::Took) });
    }
    status
}

/// `cuIpcCloseMemHandle`.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn close(call: &Call<'_>, real: Close, address: u64) -> Status {
    let guard = call.enter();
    let mut end = guard.giving_back(address, 0, &[Class::IpcImport]);
    // SAFETY: the program's own call.
    let status = unsafe { real(address) };
    guard.gave_back(&mut end, status);
    status
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        abi::SUCCESS,
        table::Api,
        testing::{event, on, recording},
    };

    extern "C" fn open_ok(out: *mut u64, handle: IpcHandle, flags: u32) -> Status {
        // SAFETY: the tests pass valid pointers.
        unsafe { *out = 0x5000 };
        Status::from(handle != IpcHandle::new([7; 64]) || flags != 1)
    }

    extern "C" fn range(base: *mut u64, size: *mut u64, _: u64) -> Status {
        // SAFETY: the driver's questions pass valid pointers.
        unsafe { *base = 0x5000 };
        // SAFETY: as above.
        unsafe { *size = 1 << 20 };
        SUCCESS
    }

    #[test]
    fn what_was_opened_has_the_size_that_the_driver_tells_and_the_handle_arrives_whole() {
        let hooks = recording();
        hooks.driver.set("cuMemGetAddressRange_v2", range as *const () as usize);
        let mut out = 0;
        // SAFETY: valid arguments.
        let status = on(&hooks, Api::cuIpcOpenMemHandle_v2, |call| unsafe {
            open(call, open_ok, &raw mut out, IpcHandle::new([7; 64]), 1)
        });
        assert_eq!(status, SUCCESS);
        let import = event();
        let got = (import.class, import.address, import.size);
        assert_eq!(got, (Class::IpcImport, 0x5000, 1 << 20));
    }
}
