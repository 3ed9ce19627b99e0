//! Stream capture.
use crate::export::forward;
use crate::types::Handle;
use std::ffi::{c_int, c_uint, c_void};

forward! {
    with_context: cudaStreamBeginCapture(stream: Handle, mode: c_int)
        = cuStreamBeginCapture(stream, mode);
    with_context: cudaStreamBeginCaptureToGraph(
        stream: Handle, graph: Handle, nodes: *const Handle, edges: *const c_void, count: usize,
        mode: c_int
    ) = cuStreamBeginCaptureToGraph(stream, graph, nodes, edges, count, mode);
    with_context: cudaStreamEndCapture(stream: Handle, graph: *mut Handle)
        = cuStreamEndCapture(stream, graph);
    with_context: cudaStreamIsCapturing(stream: Handle, status: *mut c_int)
        = cuStreamIsCapturing(stream, status);
    with_context: cudaStreamGetCaptureInfo(
        stream: Handle, status: *mut c_int, id: *mut u64, graph: *mut Handle,
        nodes: *mut *const Handle, edges: *mut *const c_void, count: *mut usize
    ) = cuStreamGetCaptureInfo(stream, status, id, graph, nodes, edges, count);
    with_context: cudaStreamUpdateCaptureDependencies(
        stream: Handle, nodes: *mut Handle, edges: *const c_void, count: usize, flags: c_uint
    ) = cuStreamUpdateCaptureDependencies(stream, nodes, edges, count, flags);
    with_context: cudaThreadExchangeStreamCaptureMode(mode: *mut c_int)
        = cuThreadExchangeStreamCaptureMode(mode);
}
