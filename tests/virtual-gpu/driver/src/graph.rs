//! Graphs: made by captures or node by node, instantiated, launched. A launch runs nothing.

use std::collections::{BTreeMap, BTreeSet};

use machine::hex;

use crate::driver::Driver;
use crate::error::{Code, Outcome};
use crate::export::{Export, exports};
use crate::ffi::{Out, Text};
use crate::graph_memory::Step;

/// What a node does, with the driver's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum NodeKind {
    Kernel = 0,
    Copy = 1,
    Fill = 2,
    Host = 3,
    Child = 4,
    Empty = 5,
    MemoryAlloc = 10,
    MemoryFree = 11,
    MemoryOperation = 12,
}

/// One node.
#[derive(Clone)]
pub struct Node {
    pub kind: NodeKind,
    pub graph: u64,
    /// The nodes that it follows.
    pub after: Vec<u64>,
    /// What it does to the graph's own memory.
    pub memory: Option<Step>,
}

/// One graph: its nodes in the order in which they were added.
#[derive(Clone, Default)]
pub struct Graph {
    pub nodes: Vec<u64>,
}

/// All graphs, nodes and executable graphs.
#[derive(Default)]
pub struct Graphs {
    living: BTreeMap<u64, Graph>,
    pub nodes: BTreeMap<u64, Node>,
    executables: BTreeMap<u64, Executable>,
}

/// One executable graph.
#[derive(Clone)]
struct Executable {
    flags: u64,
    /// What its nodes do to memory, in the order in which they were added.
    steps: Vec<Step>,
}

/// Flag: what a launch took and nobody gave back is given back by the next.
const AUTO_FREE_ON_LAUNCH: u64 = 1;

impl Driver {
    /// Makes an empty graph.
    pub fn new_graph(&mut self) -> u64 {
        let handle = self.new_handle();
        self.graphs.living.insert(handle, Graph::default());
        handle
    }

    /// The graph behind a handle.
    pub fn graph(&mut self, handle: u64) -> Outcome<&mut Graph> {
        self.graphs.living.get_mut(&handle).ok_or(Code::INVALID_VALUE)
    }

    /// Ends a graph and its nodes.
    pub fn drop_graph(&mut self, handle: u64) {
        let steps = self.steps(handle);
        let graph = self.graphs.living.remove(&handle).unwrap_or_default();
        for node in graph.nodes {
            self.graphs.nodes.remove(&node);
        }
        self.leave_places(&steps);
    }

    /// What a graph's nodes do to memory.
    fn steps(&self, graph: u64) -> Vec<Step> {
        let nodes = self.graphs.living.get(&graph).into_iter().flat_map(|graph| &graph.nodes);
        nodes.filter_map(|node| self.graphs.nodes.get(node)?.memory).collect()
    }

    /// Adds a node that follows others.
    pub fn add_node(&mut self, graph: u64, kind: NodeKind, after: Vec<u64>) -> Outcome<u64> {
        let handle = self.new_handle();
        self.graph(graph)?.nodes.push(handle);
        self.graphs.nodes.insert(handle, Node { kind, graph, after, memory: None });
        Ok(handle)
    }

    /// Adds one that takes memory or gives it back.
    pub fn add_memory_node(
        &mut self,
        graph: u64,
        kind: NodeKind,
        after: Vec<u64>,
        step: Step,
    ) -> Outcome<u64> {
        let handle = self.add_node(graph, kind, after)?;
        self.note_step(handle, step);
        Ok(handle)
    }

    /// Says what a node does to memory.
    pub fn note_step(&mut self, node: u64, step: Step) {
        if let Some(node) = self.graphs.nodes.get_mut(&node) {
            node.memory = Some(step);
        }
    }

    /// Some nodes and all that they follow, directly or not.
    pub fn reachable(&self, mut from: Vec<u64>) -> BTreeSet<u64> {
        let mut seen = BTreeSet::new();
        while let Some(node) = from.pop() {
            if seen.insert(node) {
                from.extend(self.graphs.nodes.get(&node).into_iter().flat_map(|node| &node.after));
            }
        }
        seen
    }
}

fn create(driver: &mut Driver, out: Out<u64>, _flags: u32) -> Outcome {
    let graph = driver.new_graph();
    out.set(graph)
}

fn destroy(driver: &mut Driver, graph: u64) -> Outcome {
    driver.graph(graph)?;
    driver.drop_graph(graph);
    Ok(())
}

fn clone(driver: &mut Driver, out: Out<u64>, original: u64) -> Outcome {
    let nodes = driver.graph(original)?.nodes.clone();
    // Two graphs cannot own one memory.
    if !driver.steps(original).is_empty() {
        return Err(Code::NOT_SUPPORTED);
    }
    let copy = driver.new_graph();
    let mut renamed = BTreeMap::new();
    for old in nodes {
        let Some(Node { kind, after, .. }) = driver.graphs.nodes.get(&old).cloned() else {
            continue;
        };
        let after = after.iter().filter_map(|node| renamed.get(node).copied()).collect();
        renamed.insert(old, driver.add_node(copy, kind, after)?);
    }
    out.set(copy)
}

fn make_executable(driver: &mut Driver, out: Out<u64>, graph: u64, flags: u64) -> Outcome {
    driver.graph(graph)?;
    let (handle, steps) = (driver.new_handle(), driver.steps(graph));
    driver.use_places(&steps);
    driver.graphs.executables.insert(handle, Executable { flags, steps });
    driver.note("cuGraphInstantiate", &[hex("graph", graph), hex("exec", handle)], Ok(()))?;
    out.set(handle)
}

/// What says where it went wrong is left alone: it never does.
fn instantiate_v1(
    driver: &mut Driver,
    out: Out<u64>,
    graph: u64,
    _: u64,
    _: u64,
    _: usize,
) -> Outcome {
    make_executable(driver, out, graph, 0)
}

/// `CUDA_GRAPH_INSTANTIATE_PARAMS`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Params {
    flags: u64,
    upload_stream: u64,
    error_node: u64,
    result: i32,
}

fn instantiate_with(
    driver: &mut Driver,
    out: Out<u64>,
    graph: u64,
    params: Out<Params>,
) -> Outcome {
    let asked = params.get()?;
    make_executable(driver, out, graph, asked.flags)?;
    params.set(Params { error_node: 0, result: 0, ..asked })
}

fn executable(driver: &mut Driver, handle: u64) -> Outcome<Executable> {
    driver.graphs.executables.get(&handle).cloned().ok_or(Code::INVALID_HANDLE)
}

fn launch(driver: &mut Driver, handle: u64, stream: u64) -> Outcome {
    let Executable { flags, steps } = executable(driver, handle)?;
    match driver.runs_now(stream, NodeKind::Child)? {
        true => driver.run_steps(&steps, flags & AUTO_FREE_ON_LAUNCH != 0),
        false => Ok(()),
    }
}

fn upload(driver: &mut Driver, handle: u64, stream: u64) -> Outcome {
    let steps = executable(driver, handle)?.steps;
    driver.stream_context(stream)?;
    driver.prepare_steps(&steps)
}

fn executable_destroy(driver: &mut Driver, handle: u64) -> Outcome {
    let steps = executable(driver, handle)?.steps;
    driver.graphs.executables.remove(&handle);
    driver.leave_places(&steps);
    driver.note("cuGraphExecDestroy", &[hex("exec", handle)], Ok(()))
}

fn executable_flags(driver: &mut Driver, handle: u64, out: Out<u64>) -> Outcome {
    out.set(executable(driver, handle)?.flags)
}

fn update_v1(
    driver: &mut Driver,
    handle: u64,
    graph: u64,
    error: Out<u64>,
    result: Out<i32>,
) -> Outcome {
    executable(driver, handle)?;
    driver.graph(graph)?;
    error.set_if_given(0);
    result.set(0)
}

/// The result is `CUgraphExecUpdateResultInfo`: a number and two nodes.
fn update(driver: &mut Driver, handle: u64, graph: u64, info: Out<[u64; 3]>) -> Outcome {
    executable(driver, handle)?;
    driver.graph(graph)?;
    info.set([0; 3])
}

fn set_node(driver: &mut Driver, handle: u64, _node: u64, _params: u64) -> Outcome {
    executable(driver, handle).map(|_| ())
}

fn dot_print(driver: &mut Driver, graph: u64, path: Text, _flags: u32) -> Outcome {
    let nodes = driver.graph(graph)?.nodes.clone();
    let mut text = String::from("digraph {\n");
    for handle in nodes {
        let Some(node) = driver.graphs.nodes.get(&handle) else { continue };
        text.push_str(&format!("  n{handle:x} [label=\"{:?}\"];\n", node.kind));
        for before in &node.after {
            text.push_str(&format!("  n{before:x} -> n{handle:x};\n"));
        }
    }
    text.push_str("}\n");
    std::fs::write(path.get()?, text).map_err(|_| Code::OPERATING_SYSTEM)
}

/// What this module exports.
pub static EXPORTS: &[Export] = exports! {
    cuGraphCreate(out: Out<u64>, flags: u32) => locked create { 10000: cuGraphCreate }
    cuGraphDestroy(graph: u64) => locked destroy { 10000: cuGraphDestroy }
    cuGraphClone(out: Out<u64>, original: u64) => locked clone { 10000: cuGraphClone }
    cuGraphInstantiate(
        out: Out<u64>, graph: u64, error: u64, log: u64, size: usize,
    ) => locked instantiate_v1 {
        10000: cuGraphInstantiate, 11000: cuGraphInstantiate_v2,
    }
    cuGraphInstantiateWithFlags(out: Out<u64>, graph: u64, flags: u64) => locked make_executable {
        11040: cuGraphInstantiateWithFlags,
    }
    cuGraphInstantiateWithParams(
        out: Out<u64>, graph: u64, params: Out<Params>,
    ) => locked instantiate_with {
        12000: cuGraphInstantiateWithParams, 12000 twin: cuGraphInstantiateWithParams_ptsz,
    }
    cuGraphLaunch(handle: u64, stream: u64) => locked launch {
        10000: cuGraphLaunch, 10000 twin: cuGraphLaunch_ptsz,
    }
    cuGraphUpload(handle: u64, stream: u64) => locked upload {
        11010: cuGraphUpload, 11010 twin: cuGraphUpload_ptsz,
    }
    cuGraphExecDestroy(handle: u64) => locked executable_destroy { 10000: cuGraphExecDestroy }
    cuGraphExecGetFlags(handle: u64, out: Out<u64>) => locked executable_flags {
        12000: cuGraphExecGetFlags,
    }
    cuGraphExecUpdate(
        handle: u64, graph: u64, error: Out<u64>, result: Out<i32>,
    ) => locked update_v1 {
        10020: cuGraphExecUpdate,
    }
    cuGraphExecUpdate(handle: u64, graph: u64, info: Out<[u64; 3]>) => locked update {
        12000: cuGraphExecUpdate_v2,
    }
    cuGraphExecKernelNodeSetParams(handle: u64, node: u64, params: u64) => locked set_node {
        10010: cuGraphExecKernelNodeSetParams, 12000: cuGraphExecKernelNodeSetParams_v2,
    }
    cuGraphDebugDotPrint(graph: u64, path: Text, flags: u32) => locked dot_print {
        11030: cuGraphDebugDotPrint,
    }
};
