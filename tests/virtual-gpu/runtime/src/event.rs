//! Events.
use crate::export::forward;
use crate::types::Handle;
use std::ffi::c_uint;

forward! {
    with_context: cudaEventCreate(event: *mut Handle) = cuEventCreate(event, 0);
    with_context: cudaEventCreateWithFlags(event: *mut Handle, flags: c_uint)
        = cuEventCreate(event, flags);
    with_context: cudaEventDestroy(event: Handle) = cuEventDestroy(event);
    with_context: cudaEventQuery(event: Handle) = cuEventQuery(event);
    with_context: cudaEventSynchronize(event: Handle) = cuEventSynchronize(event);
    with_context: cudaEventElapsedTime(milliseconds: *mut f32, start: Handle, end: Handle)
        = cuEventElapsedTime(milliseconds, start, end);
    with_context: cudaEventRecord(event: Handle, stream: Handle) = cuEventRecord(event, stream);
    with_context: cudaEventRecordWithFlags(event: Handle, stream: Handle, flags: c_uint)
        = cuEventRecordWithFlags(event, stream, flags);
}
