//! Memory of another process, opened by `cuIpcOpenMemHandle`.

use wire::record::Class;

use crate::{
    abi::{IpcHandle, Status},
    event::{Event, Op},
    hooks::Call,
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
