//! Memory of graphs. A node that allocates has an address when it is added, and memory once its graph
//! runs: out of a reserve that each device keeps for all graphs of the process. The reserve changes
//! without a call of its own, so it is read after each call that may change it, where some graph has
//! such a node.

use wire::{
    device::UNKNOWN,
    record::{Class, Step},
};

use crate::{
    abi::{self, ALLOC_NODE, AllocNode, GRAPH_RESERVED, GRAPH_USED, NodeParams, SUCCESS, Status},
    call::{Call, Guard, Note},
    event::{Event, Op},
};

type AddAllocNode = unsafe extern "C" fn(*mut u64, u64, usize, u64, *mut AllocNode) -> Status;
type AddNode = unsafe extern "C" fn(*mut u64, u64, usize, u64, *mut NodeParams) -> Status;
type AddNodeEdges =
    unsafe extern "C" fn(*mut u64, u64, usize, usize, u64, *mut NodeParams) -> Status;
type OnStream = unsafe extern "C" fn(u64, u64) -> Status;
type Trim = unsafe extern "C" fn(i32) -> Status;
type GetAttribute = unsafe extern "C" fn(i32, u32, *mut u64) -> Status;

/// The name under which a device's reserve is recorded: never 0, which is no name.
fn name(device: u8) -> u64 {
    u64::from(device) + 1
}

fn publish_reading(note: &Note<'_>, device: u8, reserved: u64) {
    let used = note.driver().graph_attribute(device, GRAPH_USED).unwrap_or_default();
    let (class, address) = (Class::Graph, name(device));
    let event = note.event(Op::PoolReading);
    note.publish(Event { class, address, size: reserved, aux: used, device, ..event });
}

/// Reads the reserve of a device after a call that may have changed it.
fn read_device(note: &Note<'_>, device: u8) {
    if let Some(reserved) = note.driver().graph_attribute(device, GRAPH_RESERVED) {
        publish_reading(note, device, reserved);
    }
}

/// A node was added that allocates.
fn allocates(guard: &Guard<'_>, status: Status, node: &AllocNode) {
    let Some(note) = guard.note(status).filter(Note::succeeded) else { return };
    let device = node.pool.location.device().unwrap_or(UNKNOWN);
    note.note_graph_memory(device);
    let (address, size, aux) = (node.address, node.size, Step::GraphAllocates as u64);
    note.publish(Event { address, size, aux, device, ..note.event(Op::Called) });
}

/// `cuGraphAddMemAllocNode`.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn add_alloc_node(
    call: &Call<'_>,
    real: AddAllocNode,
    out: *mut u64,
    graph: u64,
    dependencies: usize,
    count: u64,
    params: *mut AllocNode,
) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(out, graph, dependencies, count, params) };
    if status == SUCCESS {
        // SAFETY: the call succeeded, so the driver read and wrote this.
        if let Some(node) = unsafe { abi::read(params) } {
            allocates(&guard, status, &node);
        }
    }
    status
}

/// # Safety
/// `params` are the program's of a call that returned `status`.
unsafe fn added(guard: &Guard<'_>, status: Status, params: *const NodeParams) {
    if status != SUCCESS || params.is_null() {
        return;
    }
    // SAFETY: `kind` stands at the beginning, and the call succeeded, so the driver read it.
    let kind = unsafe { params.cast::<u32>().read_unaligned() };
    if kind == ALLOC_NODE {
        // SAFETY: nodes of this kind are told all of it; others may be shorter.
        if let Some(params) = unsafe { abi::read(params) } {
            allocates(guard, status, &params.alloc);
        }
    }
}

/// `cuGraphAddNode`.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn add_node(
    call: &Call<'_>,
    real: AddNode,
    out: *mut u64,
    graph: u64,
    dependencies: usize,
    count: u64,
    params: *mut NodeParams,
) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(out, graph, dependencies, count, params) };
    // SAFETY: the program's own arguments.
    unsafe { added(&guard, status, params) };
    status
}

/// `cuGraphAddNode_v2`, `cuGraphAddNode_v3`: with data of the edges.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
#[allow(clippy::too_many_arguments, reason = "the real function's")]
pub unsafe fn add_node_edges(
    call: &Call<'_>,
    real: AddNodeEdges,
    out: *mut u64,
    graph: u64,
    dependencies: usize,
    edges: usize,
    count: u64,
    params: *mut NodeParams,
) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(out, graph, dependencies, edges, count, params) };
    // SAFETY: the program's own arguments.
    unsafe { added(&guard, status, params) };
    status
}

/// `cuGraphUpload`, `cuGraphLaunch`: when the memory of a graph's nodes is taken.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn launch(call: &Call<'_>, real: OnStream, graph: u64, stream: u64) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(graph, stream) };
    let mut devices = call.hooks().graph_devices().peekable();
    if devices.peek().is_some()
        && let Some(note) = guard.note(status).filter(Note::succeeded)
    {
        devices.for_each(|device| read_device(&note, device));
    }
    status
}

/// `cuDeviceGraphMemTrim`: what no graph uses now goes back.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn trim(call: &Call<'_>, real: Trim, device: i32) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(device) };
    if let Some(note) = guard.note(status).filter(Note::succeeded)
        && let Some(device) = abi::ordinal(device)
    {
        read_device(&note, device);
    }
    status
}

/// `cuDeviceGetGraphMemAttribute`: a reserve that the program reads is a reading for us too.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn get_attribute(
    call: &Call<'_>,
    real: GetAttribute,
    device: i32,
    attribute: u32,
    value: *mut u64,
) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(device, attribute, value) };
    if attribute == GRAPH_RESERVED
        && let Some(note) = guard.note(status).filter(Note::succeeded)
        && let Some(device) = abi::ordinal(device)
    {
        // SAFETY: the program's own out-parameter, of 64 bits for this attribute.
        let reserved = unsafe { note.read(value) };
        publish_reading(&note, device, reserved);
    }
    status
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        abi::{Location, PoolProps},
        hooks::Hooks,
        table::Api,
        testing::{event, events, on, ops, recording},
    };

    extern "C" fn add_ok(
        _: *mut u64,
        _: u64,
        _: usize,
        _: usize,
        _: u64,
        params: *mut NodeParams,
    ) -> Status {
        // SAFETY: the tests pass valid pointers.
        unsafe { (*params).alloc.address = 0x7_0000 };
        SUCCESS
    }

    extern "C" fn launch_ok(_: u64, _: u64) -> Status {
        SUCCESS
    }

    extern "C" fn attribute(device: i32, attribute: u32, out: *mut u64) -> Status {
        // SAFETY: the driver's questions pass valid pointers.
        unsafe { *out = if attribute == GRAPH_RESERVED { 4096 } else { device as u64 } };
        SUCCESS
    }

    fn params(kind: u32) -> NodeParams {
        // SAFETY: numbers only, for which zeroes are valid.
        let mut params: NodeParams = unsafe { core::mem::zeroed() };
        let location = Location { kind: 1, id: 3 };
        params.kind = kind;
        params.alloc.size = 640;
        params.alloc.pool = PoolProps { kind: 1, handle_types: 0, location };
        params
    }

    fn add(hooks: &Hooks, kind: u32) -> Status {
        let (mut out, mut params) = (0, params(kind));
        // SAFETY: valid arguments.
        on(hooks, Api::cuGraphAddNode_v2, |call| unsafe {
            add_node_edges(call, add_ok, &raw mut out, 1, 0, 0, 0, &raw mut params)
        })
    }

    fn run(hooks: &Hooks) -> Vec<Op> {
        // SAFETY: the real one takes any numbers.
        on(hooks, Api::cuGraphLaunch, |call| unsafe { launch(call, launch_ok, 1, 0) });
        ops()
    }

    #[test]
    fn the_reserve_is_read_at_launches_once_a_graph_allocates() {
        let hooks = recording();
        hooks.driver.set("cuDeviceGetGraphMemAttribute", attribute as *const () as usize);
        assert_eq!(add(&hooks, 0), SUCCESS);
        assert_eq!((ops(), run(&hooks)), (vec![], vec![]), "a kernel's node");
        add(&hooks, ALLOC_NODE);
        let node = event();
        let got = (node.op, node.address, node.size, node.device, node.aux);
        assert_eq!(got, (Op::Called, 0x7_0000, 640, 3, Step::GraphAllocates as u64));
        // SAFETY: the real one takes any numbers.
        on(&hooks, Api::cuGraphLaunch, |call| unsafe { launch(call, launch_ok, 1, 0) });
        let [reading] = events()[..] else { panic!("one device") };
        let got = (reading.class, reading.address, reading.size, reading.aux, reading.device);
        assert_eq!(got, (Class::Graph, 4, 4096, 3, 3));
    }

    #[test]
    fn a_program_that_reads_the_reserve_reads_it_for_us() {
        let hooks = recording();
        let mut value = 0;
        for (which, want) in [(GRAPH_USED, &[][..]), (GRAPH_RESERVED, &[Op::PoolReading])] {
            // SAFETY: valid arguments.
            on(&hooks, Api::cuDeviceGetGraphMemAttribute, |call| unsafe {
                get_attribute(call, attribute, 1, which, &raw mut value)
            });
            assert_eq!(ops(), want);
        }
    }
}
