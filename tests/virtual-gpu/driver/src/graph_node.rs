//! Nodes added by hand: each kind by a call of its own, and any kind by `cuGraphAddNode`.
//!
//! The parameters of nodes that have nothing to do with memory are not looked at: nothing runs.

use machine::{dec, hex};

use crate::driver::Driver;
use crate::error::{Code, Outcome};
use crate::export::{Export, exports};
use crate::ffi::{In, Out};
use crate::graph::NodeKind;
use crate::graph_memory::Step;
use crate::physical::{DEVICE, Location};

/// `CUDA_MEM_ALLOC_NODE_PARAMS`.
#[repr(C)]
#[derive(Clone, Copy)]
struct AllocParams {
    kind: i32,
    handle_types: i32,
    place: Location,
    _of_pool: [u64; 9],
    _access: [u64; 2],
    size: u64,
    address: u64,
}

/// `CUgraphNodeParams`: the kind, and what belongs to it.
#[repr(C)]
#[derive(Clone, Copy)]
struct AnyParams<T> {
    kind: i32,
    _reserved: [i32; 3],
    of_kind: T,
}

/// The functions that add one kind of node.
macro_rules! adders {
    ($($name:ident: $kind:ident)*) => {$(
        fn $name(
            driver: &mut Driver,
            out: Out<u64>,
            graph: u64,
            after: In<u64>,
            count: usize,
        ) -> Outcome {
            let node = driver.add_node(graph, NodeKind::$kind, after.list(count)?)?;
            out.set(node)
        }
    )*};
}

adders! {
    add_empty: Empty
    add_kernel: Kernel
    add_host: Host
    add_child: Child
    add_copy: Copy
    add_fill: Fill
}

/// The same with arguments that the node would have, which nobody reads.
macro_rules! ignoring {
    ($($name:ident => $plain:ident($($extra:ident: $type:ty),+);)*) => {$(
        fn $name(
            driver: &mut Driver,
            out: Out<u64>,
            graph: u64,
            after: In<u64>,
            count: usize,
            $($extra: $type),+
        ) -> Outcome {
            let _ = ($($extra,)+);
            $plain(driver, out, graph, after, count)
        }
    )*};
}

ignoring! {
    add_kernel_with => add_kernel(params: u64);
    add_host_with => add_host(params: u64);
    add_child_with => add_child(child: u64);
    add_copy_with => add_copy(params: u64, context: u64);
    add_fill_with => add_fill(params: u64, context: u64);
}

fn take_node(
    driver: &mut Driver,
    graph: u64,
    after: Vec<u64>,
    params: AllocParams,
) -> Outcome<(u64, u64)> {
    driver.graph(graph)?;
    if params.size == 0 || params.kind != 1 || params.handle_types != 0 {
        return Err(Code::INVALID_VALUE);
    }
    if params.place.kind != DEVICE {
        return Err(Code::NOT_SUPPORTED);
    }
    driver.device(params.place.id)?;
    let address = driver.new_place(params.place.id as usize, params.size)?;
    let node = driver.add_memory_node(graph, NodeKind::MemoryAlloc, after, Step::Take(address))?;
    Ok((node, address))
}

/// The address goes into the caller's parameters.
fn add_alloc(
    driver: &mut Driver,
    out: Out<u64>,
    graph: u64,
    after: In<u64>,
    count: usize,
    params: Out<AllocParams>,
) -> Outcome {
    let asked = params.get()?;
    if out.is_null() {
        return Err(Code::INVALID_VALUE);
    }
    let made = after.list(count).and_then(|after| take_node(driver, graph, after, asked));
    let (node, address) = made.unwrap_or((0, 0));
    let fields = [
        hex("node", node),
        hex("graph", graph),
        hex("dptr", address),
        dec("size", asked.size),
        dec("dev", asked.place.id as u64),
    ];
    driver.note("cuGraphAddMemAllocNode", &fields, made)?;
    params.set(AllocParams { address, ..asked })?;
    out.set(node)
}

fn add_free(
    driver: &mut Driver,
    out: Out<u64>,
    graph: u64,
    after: In<u64>,
    count: usize,
    address: u64,
) -> Outcome {
    if out.is_null() {
        return Err(Code::INVALID_VALUE);
    }
    let known = driver.graph_memory.size_of(address);
    let made = known.and_then(|_| {
        let after = after.list(count)?;
        driver.add_memory_node(graph, NodeKind::MemoryFree, after, Step::Give(address))
    });
    let fields = [hex("node", made.unwrap_or(0)), hex("graph", graph), hex("dptr", address)];
    out.set(driver.note("cuGraphAddMemFreeNode", &fields, made)?)
}

fn add_any(
    driver: &mut Driver,
    out: Out<u64>,
    graph: u64,
    after: In<u64>,
    count: usize,
    params: Out<AnyParams<AllocParams>>,
) -> Outcome {
    let plain = match params.cast::<i32>().get()? {
        0 => add_kernel,
        1 => add_copy,
        2 => add_fill,
        3 => add_host,
        4 => add_child,
        5 => add_empty,
        10 => {
            let of_kind = params.inside(std::mem::offset_of!(AnyParams<AllocParams>, of_kind));
            return add_alloc(driver, out, graph, after, count, of_kind);
        }
        11 => {
            let of_kind = params.cast::<AnyParams<u64>>().get()?.of_kind;
            return add_free(driver, out, graph, after, count, of_kind);
        }
        _ => return Err(Code::NOT_SUPPORTED),
    };
    plain(driver, out, graph, after, count)
}

fn add_any_with_edges(
    driver: &mut Driver,
    out: Out<u64>,
    graph: u64,
    after: In<u64>,
    _edges: u64,
    count: usize,
    params: Out<AnyParams<AllocParams>>,
) -> Outcome {
    add_any(driver, out, graph, after, count, params)
}

fn step_of(driver: &Driver, node: u64) -> Outcome<Step> {
    driver.graphs.nodes.get(&node).and_then(|node| node.memory).ok_or(Code::INVALID_VALUE)
}

fn alloc_params(driver: &mut Driver, node: u64, out: Out<AllocParams>) -> Outcome {
    let Step::Take(address) = step_of(driver, node)? else { return Err(Code::INVALID_VALUE) };
    let (size, device) = driver.graph_memory.size_of(address)?;
    let place = Location { kind: DEVICE, id: device as i32 };
    let (kind, handle_types, _of_pool, _access) = (1, 0, [0; 9], [0; 2]);
    out.set(AllocParams { kind, handle_types, place, _of_pool, _access, size, address })
}

fn free_params(driver: &mut Driver, node: u64, out: Out<u64>) -> Outcome {
    let Step::Give(address) = step_of(driver, node)? else { return Err(Code::INVALID_VALUE) };
    out.set(address)
}

/// What this module exports.
pub static EXPORTS: &[Export] = exports! {
    cuGraphAddEmptyNode(
        out: Out<u64>, graph: u64, after: In<u64>, count: usize,
    ) => locked add_empty {
        10000: cuGraphAddEmptyNode,
    }
    cuGraphAddKernelNode(
        out: Out<u64>, graph: u64, after: In<u64>, count: usize, params: u64,
    ) => locked add_kernel_with {
        10000: cuGraphAddKernelNode, 12000: cuGraphAddKernelNode_v2,
    }
    cuGraphAddHostNode(
        out: Out<u64>, graph: u64, after: In<u64>, count: usize, params: u64,
    ) => locked add_host_with {
        10000: cuGraphAddHostNode,
    }
    cuGraphAddChildGraphNode(
        out: Out<u64>, graph: u64, after: In<u64>, count: usize, child: u64,
    ) => locked add_child_with {
        10000: cuGraphAddChildGraphNode,
    }
    cuGraphAddMemcpyNode(
        out: Out<u64>, graph: u64, after: In<u64>, count: usize, params: u64, context: u64,
    ) => locked add_copy_with {
        10000: cuGraphAddMemcpyNode,
    }
    cuGraphAddMemsetNode(
        out: Out<u64>, graph: u64, after: In<u64>, count: usize, params: u64, context: u64,
    ) => locked add_fill_with {
        10000: cuGraphAddMemsetNode,
    }
    cuGraphAddMemAllocNode(
        out: Out<u64>, graph: u64, after: In<u64>, count: usize, params: Out<AllocParams>,
    ) => locked add_alloc {
        11040: cuGraphAddMemAllocNode,
    }
    cuGraphAddMemFreeNode(
        out: Out<u64>, graph: u64, after: In<u64>, count: usize, address: u64,
    ) => locked add_free {
        11040: cuGraphAddMemFreeNode,
    }
    cuGraphAddNode(
        out: Out<u64>, graph: u64, after: In<u64>, count: usize,
        params: Out<AnyParams<AllocParams>>,
    ) => locked add_any {
        12020: cuGraphAddNode,
    }
    cuGraphAddNode(
        out: Out<u64>, graph: u64, after: In<u64>, edges: u64, count: usize,
        params: Out<AnyParams<AllocParams>>,
    ) => locked add_any_with_edges {
        12030: cuGraphAddNode_v2,
    }
    cuGraphMemAllocNodeGetParams(node: u64, out: Out<AllocParams>) => locked alloc_params {
        11040: cuGraphMemAllocNodeGetParams,
    }
    cuGraphMemFreeNodeGetParams(node: u64, out: Out<u64>) => locked free_params {
        11040: cuGraphMemFreeNodeGetParams,
    }
};

const _: () = assert!(size_of::<AllocParams>() == 120);
