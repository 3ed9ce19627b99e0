//! Memory that goes between processes by the 64-byte handles of `cuIpcGetMemHandle`.

use wire::record::Class;

use crate::{
    abi::{IpcHandle, Status},
    call::{Call, Note},
    event::{Event, Op},
    share,
};

type Get = unsafe extern "C" fn(*mut IpcHandle, u64) -> Status;
type Open = unsafe extern "C" fn(*mut u64, IpcHandle, u32) -> Status;
type Close = unsafe extern "C" fn(u64) -> Status;

/// `cuIpcGetMemHandle`: memory of this process is handed to others.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn export(call: &Call<'_>, real: Get, out: *mut IpcHandle, address: u64) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(out, address) };
    if let Some(note) = guard.note(status).filter(Note::succeeded) {
        let (address, size) = note.driver().range_of(address).unwrap_or((address, 0));
        // SAFETY: the program's own out-parameter, which the call filled.
        let aux = unsafe { share::of_handle(out) };
        let (class, device) = (Class::Linear, note.current_device());
        let event = note.event(Op::Exported);
        note.publish(Event { class, address, size, aux, device, ..event });
    }
    status
}

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
        let size = if note.succeeded() { note.driver().range_of(address) } else { None };
        let (size, device) = (size.map_or(0, |(_, size)| size), note.device_of(address));
        // SAFETY: a handle of our own.
        let aux = unsafe { share::of_handle(&raw const handle) };
        let (class, extra) = (Class::IpcImport, note.driver().context().unwrap_or_default());
        note.took(Event { class, address, size, aux, extra, device, ..note.event(Op::Took) });
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
        testing::{event, events, lies_on_four, on, recording},
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
    fn what_was_opened_lies_on_its_own_device_and_not_on_the_current_one() {
        let hooks = recording();
        hooks.driver.set("cuPointerGetAttribute", lies_on_four as *const () as usize);
        let mut out = 0;
        for (flags, device) in [(1, 4), (0, 2)] {
            // SAFETY: valid arguments.
            on(&hooks, Api::cuIpcOpenMemHandle_v2, |call| unsafe {
                open(call, open_ok, &raw mut out, IpcHandle::new([7; 64]), flags)
            });
            assert_eq!(event().device, device, "nothing lies anywhere after a failure");
        }
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
        assert_eq!(import.aux, export_on(&hooks).aux, "both sides name it alike");
    }

    extern "C" fn get_ok(out: *mut IpcHandle, _: u64) -> Status {
        // SAFETY: the tests pass valid pointers.
        unsafe { *out = IpcHandle::new([7; 64]) };
        SUCCESS
    }

    extern "C" fn get_fails(_: *mut IpcHandle, _: u64) -> Status {
        1
    }

    fn export_on(hooks: &crate::hooks::Hooks) -> Event {
        let mut out = IpcHandle::new([0; 64]);
        // SAFETY: valid arguments.
        on(hooks, Api::cuIpcGetMemHandle, |call| unsafe {
            export(call, get_ok, &raw mut out, 0x5100)
        });
        event()
    }

    #[test]
    fn what_is_exported_is_the_whole_allocation_and_a_failure_exports_nothing() {
        let hooks = recording();
        hooks.driver.set("cuMemGetAddressRange_v2", range as *const () as usize);
        let exported = export_on(&hooks);
        let got = (exported.op, exported.class, exported.address, exported.size);
        assert_eq!(got, (Op::Exported, Class::Linear, 0x5000, 1 << 20));
        assert_ne!(exported.aux, 0);
        let mut out = IpcHandle::new([0; 64]);
        // SAFETY: valid arguments.
        on(&hooks, Api::cuIpcGetMemHandle, |call| unsafe {
            export(call, get_fails, &raw mut out, 0x5000)
        });
        assert!(events().is_empty());
    }
}
