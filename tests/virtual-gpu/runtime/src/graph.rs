//! Graphs and the objects they keep alive.
use crate::context;
use crate::export::{forward, with_context};
use crate::types::{Handle, Status};
use std::ffi::{c_char, c_int, c_uint, c_void};

forward! {
    with_context: cudaGraphCreate(graph: *mut Handle, flags: c_uint) = cuGraphCreate(graph, flags);
    with_context: cudaGraphDestroy(graph: Handle) = cuGraphDestroy(graph);
    with_context: cudaGraphInstantiate(exec: *mut Handle, graph: Handle, flags: u64)
        = cuGraphInstantiateWithFlags(exec, graph, flags);
    with_context: cudaGraphInstantiateWithFlags(exec: *mut Handle, graph: Handle, flags: u64)
        = cuGraphInstantiateWithFlags(exec, graph, flags);
    with_context: cudaGraphExecDestroy(exec: Handle) = cuGraphExecDestroy(exec);
    with_context: cudaGraphExecUpdate(exec: Handle, graph: Handle, result: *mut c_void)
        = cuGraphExecUpdate(exec, graph, result);
    with_context: cudaGraphLaunch(exec: Handle, stream: Handle) = cuGraphLaunch(exec, stream);
    with_context: cudaGraphUpload(exec: Handle, stream: Handle) = cuGraphUpload(exec, stream);
    with_context: cudaGraphGetNodes(graph: Handle, nodes: *mut Handle, count: *mut usize)
        = cuGraphGetNodes(graph, nodes, count);
    with_context: cudaGraphNodeGetType(node: Handle, kind: *mut c_int)
        = cuGraphNodeGetType(node, kind);
    with_context: cudaGraphNodeGetDependencies(
        node: Handle, nodes: *mut Handle, edges: *mut c_void, count: *mut usize
    ) = cuGraphNodeGetDependencies(node, nodes, edges, count);
    with_context: cudaGraphAddNode(
        node: *mut Handle, graph: Handle, nodes: *const Handle, edges: *const c_void, count: usize,
        parameters: *mut c_void
    ) = cuGraphAddNode(node, graph, nodes, edges, count, parameters);
    with_context: cudaGraphAddEmptyNode(
        node: *mut Handle, graph: Handle, nodes: *const Handle, count: usize
    ) = cuGraphAddEmptyNode(node, graph, nodes, count);
    with_context: cudaGraphDebugDotPrint(graph: Handle, path: *const c_char, flags: c_uint)
        = cuGraphDebugDotPrint(graph, path, flags);
    with_context: cudaUserObjectCreate(
        object: *mut Handle, data: *mut c_void, destroy: Handle, count: c_uint, flags: c_uint
    ) = cuUserObjectCreate(object, data, destroy, count, flags);
    with_context: cudaUserObjectRetain(object: Handle, count: c_uint)
        = cuUserObjectRetain(object, count);
    with_context: cudaUserObjectRelease(object: Handle, count: c_uint)
        = cuUserObjectRelease(object, count);
    with_context: cudaGraphRetainUserObject(
        graph: Handle, object: Handle, count: c_uint, flags: c_uint
    ) = cuGraphRetainUserObject(graph, object, count, flags);
    with_context: cudaGraphReleaseUserObject(graph: Handle, object: Handle, count: c_uint)
        = cuGraphReleaseUserObject(graph, object, count);
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cudaGraphConditionalHandleCreate(
    handle: *mut u64,
    graph: Handle,
    default: c_uint,
    flags: c_uint,
) -> Status {
    with_context(|driver| {
        let context = context::current(driver)?;
        // SAFETY: the caller's promise for `handle` and `graph`; the context is the current one.
        unsafe { driver.cuGraphConditionalHandleCreate(handle, graph, context, default, flags) }
    })
}
