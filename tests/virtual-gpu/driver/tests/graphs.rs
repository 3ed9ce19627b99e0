//! Memory that graphs own: an address from the node on, bytes of the card from the launch on.

// Of what the tests share, the second process and the log are not needed here.
#[allow(dead_code)]
mod common;

use common::{Library, alone};

const MIB: u64 = 1 << 20;
const INVALID_VALUE: i32 = 1;
const NOT_SUPPORTED: i32 = 801;
const AUTO_FREE: u64 = 1;
/// The pool grows in steps of this.
const STEP: u64 = 32 * MIB;

/// `CUDA_MEM_ALLOC_NODE_PARAMS` as words: pinned memory of card 0, and at the end bytes and address.
fn params(size: u64) -> [u64; 15] {
    let mut words = [0; 15];
    // Memory of the card, and which card.
    (words[0], words[1], words[13]) = (1, 1, size);
    words
}

fn add_take(library: Library, graph: u64, size: u64) -> (u64, u64) {
    let mut words = params(size);
    let at = words.as_mut_ptr() as u64;
    let node = library.get("cuGraphAddMemAllocNode", [graph, 0, 0, at]).expect("node");
    (node, words[14])
}

fn add_give(library: Library, graph: u64, after: u64, address: u64) -> u64 {
    let after = [after];
    let at = after.as_ptr() as u64;
    library.get("cuGraphAddMemFreeNode", [graph, at, 1, address]).expect("node")
}

/// What the card's graph pool has in use and reserved.
fn counted(library: Library) -> (u64, u64) {
    [0, 2]
        .map(|kind| {
            let mut word = 0u64;
            library.must("cuDeviceGetGraphMemAttribute", [0, kind, &raw mut word as u64]);
            word
        })
        .into()
}

#[test]
fn a_graphs_memory_comes_with_the_launch_and_stays_in_its_pool() {
    alone("a_graphs_memory_comes_with_the_launch_and_stays_in_its_pool", &[], |library| {
        library.start();
        let before = library.free_bytes();
        let graph = library.get("cuGraphCreate", [0]).expect("graph");
        let (node, address) = add_take(library, graph, 10 * MIB);
        assert_eq!(library.call("cuMemsetD8", [address, 1, 1]), INVALID_VALUE, "nothing there");
        let exec = library.get("cuGraphInstantiateWithFlags", [graph, 0]).expect("exec");
        assert_eq!(counted(library), (0, 0));
        library.must("cuGraphLaunch", [exec, 0]);
        assert_eq!(counted(library), (10 * MIB, STEP));
        assert_eq!(library.free_bytes(), before - STEP);
        library.must("cuMemsetD8", [address, 1, 10 * MIB]);
        assert_eq!(library.call("cuGraphLaunch", [exec, 0]), INVALID_VALUE, "not given back yet");
        library.must("cuMemFreeAsync", [address, 0]);
        assert_eq!(counted(library), (0, STEP));
        library.must("cuDeviceGraphMemTrim", [0]);
        assert_eq!(library.free_bytes(), before);
        library.must("cuGraphLaunch", [exec, 0]);
        let mut back = [7u8; 4];
        library.must("cuMemcpyDtoH", [back.as_mut_ptr() as u64, address, 4]);
        assert_eq!(back, [0; 4], "the same address, fresh memory");
        let copy = library.get("cuGraphClone", [graph]);
        assert_eq!(copy, Err(NOT_SUPPORTED), "two graphs cannot own one memory");
        let mut read = params(0);
        let out = read.as_mut_ptr() as u64;
        library.must("cuGraphMemAllocNodeGetParams", [node, out]);
        assert_eq!((read[13], read[14]), (10 * MIB, address));
        library.must("cuGraphDestroy", [graph]);
        library.must("cuGraphExecDestroy", [exec]);
        assert_eq!(counted(library).0, 10 * MIB, "what is taken outlives its graph");
        library.must("cuMemFree", [address]);
        assert_eq!(library.call("cuMemFree", [address]), INVALID_VALUE, "only once");
    });
}

#[test]
fn a_graph_that_gives_back_what_it_takes_leaves_nothing_in_use() {
    alone("a_graph_that_gives_back_what_it_takes_leaves_nothing_in_use", &[], |library| {
        library.start();
        let graph = library.get("cuGraphCreate", [0]).expect("graph");
        let (first, one) = add_take(library, graph, 20 * MIB);
        let given = add_give(library, graph, first, one);
        let (_, two) = add_take(library, graph, 30 * MIB);
        add_give(library, graph, given, two);
        let exec = library.get("cuGraphInstantiateWithFlags", [graph, 0]).expect("exec");
        library.must("cuGraphUpload", [exec, 0]);
        assert_eq!(counted(library), (0, STEP), "one after the other they fit into one step");
        for _ in 0..3 {
            library.must("cuGraphLaunch", [exec, 0]);
            assert_eq!(counted(library), (0, STEP));
        }
    });
}

#[test]
fn a_launch_gives_back_what_an_earlier_one_left_where_that_was_asked_for() {
    alone(
        "a_launch_gives_back_what_an_earlier_one_left_where_that_was_asked_for",
        &[],
        |library| {
            library.start();
            let graph = library.get("cuGraphCreate", [0]).expect("graph");
            // The kind and three words of nothing, then what `cuGraphAddMemAllocNode` takes.
            let mut any = [[10u64, 0].as_slice(), &params(4 * MIB), &[0; 20]].concat();
            let at = any.as_mut_ptr() as u64;
            library.get("cuGraphAddNode", [graph, 0, 0, at]).expect("node");
            let address = any[16];
            let exec =
                library.get("cuGraphInstantiateWithFlags", [graph, AUTO_FREE]).expect("exec");
            for _ in 0..3 {
                library.must("cuGraphLaunch", [exec, 0]);
                assert_eq!(counted(library), (4 * MIB, STEP));
            }
            let other = library.get("cuGraphCreate", [0]).expect("graph");
            any = [[11, 0, address].as_slice(), &[0; 30]].concat();
            library.get("cuGraphAddNode", [other, 0, 0, any.as_ptr() as u64]).expect("node");
            let giving = library.get("cuGraphInstantiateWithFlags", [other, 0]).expect("exec");
            library.must("cuGraphLaunch", [giving, 0]);
            assert_eq!(counted(library).0, 0, "another graph may give it back");
            assert_eq!(library.call("cuGraphLaunch", [giving, 0]), INVALID_VALUE, "only once");
        },
    );
}

#[test]
fn a_capture_takes_nothing_before_its_graph_is_launched() {
    alone("a_capture_takes_nothing_before_its_graph_is_launched", &[], |library| {
        library.start();
        let before = library.free_bytes();
        let stream = library.get("cuStreamCreate", [0]).expect("stream");
        library.must("cuStreamBeginCapture", [stream, 0]);
        let kept = library.get("cuMemAllocAsync", [8 * MIB, stream]).expect("alloc");
        let scratch = library.get("cuMemAllocAsync", [8 * MIB, stream]).expect("alloc");
        library.must("cuMemsetD8Async", [scratch, 1, MIB, stream]);
        library.must("cuMemcpyDtoDAsync", [kept, scratch, MIB, stream]);
        library.must("cuMemFreeAsync", [scratch, stream]);
        let mut graph = 0u64;
        library.must("cuStreamEndCapture", [stream, &raw mut graph as u64]);
        assert_eq!(library.free_bytes(), before);
        let exec = library.get("cuGraphInstantiateWithFlags", [graph, 0]).expect("exec");
        library.must("cuGraphLaunch", [exec, stream]);
        assert_eq!(counted(library), (8 * MIB, STEP));
        library.must("cuMemFreeAsync", [kept, stream]);
        assert_eq!(counted(library), (0, STEP));
    });
}
