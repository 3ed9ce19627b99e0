//! Streams.
use crate::export::forward;
use crate::types::{Device, Handle};
use std::ffi::{c_int, c_uint, c_void};

forward! {
    with_context: cudaStreamCreate(stream: *mut Handle) = cuStreamCreate(stream, 0);
    with_context: cudaStreamCreateWithFlags(stream: *mut Handle, flags: c_uint)
        = cuStreamCreate(stream, flags);
    with_context: cudaStreamCreateWithPriority(stream: *mut Handle, flags: c_uint, priority: c_int)
        = cuStreamCreateWithPriority(stream, flags, priority);
    with_context: cudaStreamDestroy(stream: Handle) = cuStreamDestroy(stream);
    with_context: cudaStreamQuery(stream: Handle) = cuStreamQuery(stream);
    with_context: cudaStreamSynchronize(stream: Handle) = cuStreamSynchronize(stream);
    with_context: cudaStreamGetPriority(stream: Handle, priority: *mut c_int)
        = cuStreamGetPriority(stream, priority);
    with_context: cudaStreamGetFlags(stream: Handle, flags: *mut c_uint)
        = cuStreamGetFlags(stream, flags);
    with_context: cudaStreamGetId(stream: Handle, id: *mut u64) = cuStreamGetId(stream, id);
    with_context: cudaStreamGetDevice(stream: Handle, device: *mut Device)
        = cuStreamGetDevice(stream, device);
    with_context: cudaStreamWaitEvent(stream: Handle, event: Handle, flags: c_uint)
        = cuStreamWaitEvent(stream, event, flags);
    with_context: cudaStreamAddCallback(
        stream: Handle, callback: Handle, data: *mut c_void, flags: c_uint
    ) = cuStreamAddCallback(stream, callback, data, flags);
    with_context: cudaLaunchHostFunc(stream: Handle, function: Handle, data: *mut c_void)
        = cuLaunchHostFunc(stream, function, data);
}
