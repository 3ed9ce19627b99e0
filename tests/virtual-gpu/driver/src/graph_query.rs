//! What a graph holds, and the memory that belongs to captures.

use crate::driver::Driver;
use crate::error::{Code, Outcome};
use crate::export::{Export, exports};
use crate::ffi::Out;
use crate::graph::Node;

/// Stores as many nodes as there is room for, or only their number where no room was given.
fn put_nodes(nodes: &[u64], out: Out<u64>, count: Out<usize>) -> Outcome {
    if out.is_null() {
        return count.set(nodes.len());
    }
    let room = count.get()?;
    out.set_list(room, nodes.iter().copied())?;
    if room > nodes.len() {
        out.set_list(
            room,
            nodes.iter().copied().chain(std::iter::repeat_n(0, room - nodes.len())),
        )?;
    }
    count.set(nodes.len().min(room))
}

fn node(driver: &Driver, handle: u64) -> Outcome<&Node> {
    driver.graphs.nodes.get(&handle).ok_or(Code::INVALID_VALUE)
}

fn nodes(driver: &mut Driver, graph: u64, out: Out<u64>, count: Out<usize>) -> Outcome {
    let nodes = driver.graph(graph)?.nodes.clone();
    put_nodes(&nodes, out, count)
}

fn roots(driver: &mut Driver, graph: u64, out: Out<u64>, count: Out<usize>) -> Outcome {
    let mut nodes = driver.graph(graph)?.nodes.clone();
    nodes.retain(|&handle| node(driver, handle).is_ok_and(|node| node.after.is_empty()));
    put_nodes(&nodes, out, count)
}

fn edges(
    driver: &mut Driver,
    graph: u64,
    from: Out<u64>,
    to: Out<u64>,
    count: Out<usize>,
) -> Outcome {
    let nodes = driver.graph(graph)?.nodes.clone();
    let (mut starts, mut ends) = (Vec::new(), Vec::new());
    for handle in nodes {
        for &before in &node(driver, handle)?.after {
            starts.push(before);
            ends.push(handle);
        }
    }
    if from.is_null() != to.is_null() {
        return Err(Code::INVALID_VALUE);
    }
    let room = if to.is_null() { 0 } else { count.get()? };
    to.set_list(room, ends)?;
    put_nodes(&starts, from, count)
}

fn edges_v2(
    driver: &mut Driver,
    graph: u64,
    from: Out<u64>,
    to: Out<u64>,
    _data: u64,
    count: Out<usize>,
) -> Outcome {
    edges(driver, graph, from, to, count)
}

fn node_type(driver: &mut Driver, handle: u64, out: Out<i32>) -> Outcome {
    out.set(node(driver, handle)?.kind as i32)
}

fn dependencies(driver: &mut Driver, handle: u64, out: Out<u64>, count: Out<usize>) -> Outcome {
    put_nodes(&node(driver, handle)?.after, out, count)
}

fn dependencies_v2(
    driver: &mut Driver,
    handle: u64,
    out: Out<u64>,
    _data: u64,
    count: Out<usize>,
) -> Outcome {
    dependencies(driver, handle, out, count)
}

fn containing_graph(driver: &mut Driver, handle: u64, out: Out<u64>) -> Outcome {
    out.set(node(driver, handle)?.graph)
}

/// 0 and 1: bytes in use and their peak; 2 and 3: bytes reserved and their peak.
fn memory_attribute(driver: &mut Driver, device: i32, kind: i32, out: Out<u64>) -> Outcome {
    let handle = driver.device(device)?.graph_pool;
    let pool = driver.pool(handle)?;
    match kind {
        0 => out.set(pool.used()),
        1 => out.set(pool.used_peak),
        2 => out.set(pool.reserved()),
        3 => out.set(pool.reserved_peak),
        _ => Err(Code::INVALID_VALUE),
    }
}

fn set_memory_attribute(driver: &mut Driver, device: i32, kind: i32, _value: u64) -> Outcome {
    let handle = driver.device(device)?.graph_pool;
    let pool = driver.pool(handle)?;
    match kind {
        1 => pool.used_peak = pool.used(),
        3 => pool.reserved_peak = pool.reserved(),
        _ => return Err(Code::INVALID_VALUE),
    }
    Ok(())
}

fn memory_trim(driver: &mut Driver, device: i32) -> Outcome {
    let pool = driver.device(device)?.graph_pool;
    driver.shrink_pool(pool, 0)
}

/// What this module exports.
pub static EXPORTS: &[Export] = exports! {
    cuGraphGetNodes(graph: u64, out: Out<u64>, count: Out<usize>) => locked nodes {
        10000: cuGraphGetNodes,
    }
    cuGraphGetRootNodes(graph: u64, out: Out<u64>, count: Out<usize>) => locked roots {
        10000: cuGraphGetRootNodes,
    }
    cuGraphGetEdges(graph: u64, from: Out<u64>, to: Out<u64>, count: Out<usize>) => locked edges {
        10000: cuGraphGetEdges,
    }
    cuGraphGetEdges(
        graph: u64, from: Out<u64>, to: Out<u64>, data: u64, count: Out<usize>,
    ) => locked edges_v2 {
        12030: cuGraphGetEdges_v2,
    }
    cuGraphNodeGetType(handle: u64, out: Out<i32>) => locked node_type { 10000: cuGraphNodeGetType }
    cuGraphNodeGetDependencies(
        handle: u64, out: Out<u64>, count: Out<usize>,
    ) => locked dependencies {
        10000: cuGraphNodeGetDependencies,
    }
    cuGraphNodeGetDependencies(
        handle: u64, out: Out<u64>, data: u64, count: Out<usize>,
    ) => locked dependencies_v2 {
        12030: cuGraphNodeGetDependencies_v2,
    }
    cuGraphNodeGetContainingGraph(handle: u64, out: Out<u64>) => locked containing_graph {
        13010: cuGraphNodeGetContainingGraph,
    }
    cuDeviceGetGraphMemAttribute(device: i32, kind: i32, out: Out<u64>) => locked memory_attribute {
        11040: cuDeviceGetGraphMemAttribute,
    }
    cuDeviceSetGraphMemAttribute(
        device: i32, kind: i32, value: u64,
    ) => locked set_memory_attribute {
        11040: cuDeviceSetGraphMemAttribute,
    }
    cuDeviceGraphMemTrim(device: i32) => locked memory_trim { 11040: cuDeviceGraphMemTrim }
};
