//! Memory and events shared with other processes.
use crate::export::forward;
use crate::types::{Address, Handle, IpcHandle};
use std::ffi::c_uint;

forward! {
    with_context: cudaIpcGetMemHandle(handle: *mut IpcHandle, address: Address)
        = cuIpcGetMemHandle(handle, address);
    with_context: cudaIpcOpenMemHandle(address: *mut Address, handle: IpcHandle, flags: c_uint)
        = cuIpcOpenMemHandle(address, handle, flags);
    with_context: cudaIpcCloseMemHandle(address: Address) = cuIpcCloseMemHandle(address);
    with_context: cudaIpcGetEventHandle(handle: *mut IpcHandle, event: Handle)
        = cuIpcGetEventHandle(handle, event);
    with_context: cudaIpcOpenEventHandle(event: *mut Handle, handle: IpcHandle)
        = cuIpcOpenEventHandle(event, handle);
}
