//! Stream capture: instead of being done, the work of some streams becomes a graph.
//!
//! A capture begins in one stream. Another stream joins it by waiting for an event that was
//! recorded in it, and must have been waited for in turn before the capture ends.
//!
//! ```text
//!   origin  ──a──record e──────────wait f──b── end ──▶ graph {a, c, b}
//!   other          wait e ──c──record f
//! ```

use std::collections::BTreeMap;

use machine::hex;

use crate::driver::Driver;
use crate::error::{Code, Outcome};
use crate::export::{Export, exports};
use crate::ffi::{In, Out};

pub use crate::graph::NodeKind;

/// The point that an event marks in a capture: what was last done in its stream.
#[derive(Clone)]
pub struct Mark {
    pub capture: u64,
    last: Vec<u64>,
}

const ANY_THREAD: i32 = 0;
const OWN_THREAD: i32 = 1;
const RELAXED: i32 = 2;

struct Capture {
    mode: i32,
    origin: u64,
    thread: i32,
    graph: u64,
    invalid: bool,
    /// For each stream that takes part: the nodes that its next one follows.
    last: BTreeMap<u64, Vec<u64>>,
    /// Kinds of the edges to those, as many zeros as anybody asked for: all edges are plain.
    plain_edges: Vec<u64>,
}

/// All captures under way, and each thread's mode.
#[derive(Default)]
pub struct Captures {
    active: BTreeMap<u64, Capture>,
    of_stream: BTreeMap<u64, u64>,
    thread_modes: BTreeMap<i32, i32>,
}

impl Captures {
    /// Is it still going on?
    pub fn is_active(&self, id: u64) -> bool {
        self.active.contains_key(&id)
    }

    fn of(&mut self, stream: u64) -> Option<(u64, &mut Capture)> {
        let id = *self.of_stream.get(&stream)?;
        Some((id, self.active.get_mut(&id)?))
    }
}

fn thread() -> i32 {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::gettid() }
}

impl Driver {
    /// Is the stream's work to be done? If not, it was added to a graph as a node of that kind.
    pub fn runs_now(&mut self, stream: u64, kind: NodeKind) -> Outcome<bool> {
        self.captured(stream, kind).map(|node| node.is_none())
    }

    /// The node as which the stream's work was added to a graph, if it is not to be done now.
    pub fn captured(&mut self, stream: u64, kind: NodeKind) -> Outcome<Option<u64>> {
        self.stream_context(stream)?;
        let Some((_, capture)) = self.captures.of(stream) else { return Ok(None) };
        if capture.invalid {
            return Err(Code::STREAM_CAPTURE_INVALIDATED);
        }
        let graph = capture.graph;
        let follows = capture.last.get(&stream).cloned().unwrap_or_default();
        let node = self.add_node(graph, kind, follows)?;
        if let Some((_, capture)) = self.captures.of(stream) {
            capture.last.insert(stream, vec![node]);
        }
        Ok(Some(node))
    }

    /// For calls that need finished work; they end a capture of that stream.
    pub fn refuse_captured(&mut self, stream: u64) -> Outcome {
        let Some((_, capture)) = self.captures.of(stream) else { return Ok(()) };
        capture.invalid = true;
        Err(Code::STREAM_CAPTURE_UNSUPPORTED)
    }

    /// For calls that a capture does not allow near it: by any thread while one of mode "global"
    /// goes on, by its own thread in mode "thread local"; unless the calling thread chose to be
    /// less strict.
    pub fn refuse_while_capturing(&mut self) -> Outcome {
        let (thread, mut refused) = (thread(), false);
        let chosen = self.captures.thread_modes.get(&thread).copied().unwrap_or(ANY_THREAD);
        for capture in self.captures.active.values_mut() {
            let own = capture.thread == thread;
            let bound = match (chosen, capture.mode) {
                (RELAXED, _) | (_, RELAXED) => false,
                (ANY_THREAD, ANY_THREAD) => true,
                _ => own,
            };
            capture.invalid |= bound;
            refused |= bound;
        }
        if refused { Err(Code::STREAM_CAPTURE_UNSUPPORTED) } else { Ok(()) }
    }

    /// Where a stream stands in its capture, for an event recorded there.
    pub fn capture_mark(&mut self, stream: u64) -> Outcome<Option<Mark>> {
        let Some((id, capture)) = self.captures.of(stream) else { return Ok(None) };
        let last = capture.last.get(&stream).cloned().unwrap_or_default();
        Ok(Some(Mark { capture: id, last }))
    }

    /// A stream waits for an event; if that was recorded in a capture, the stream takes part now.
    pub fn join_capture(&mut self, stream: u64, mark: Option<Mark>) -> Outcome {
        let Some(mark) = mark.filter(|mark| self.captures.is_active(mark.capture)) else {
            return Ok(());
        };
        match self.captures.of(stream) {
            Some((id, _)) if id != mark.capture => return Err(Code::STREAM_CAPTURE_MERGE),
            Some((_, capture)) => {
                let last = capture.last.entry(stream).or_default();
                last.extend(mark.last);
                last.sort_unstable();
                last.dedup();
            }
            None => {
                self.captures.of_stream.insert(stream, mark.capture);
                if let Some((_, capture)) = self.captures.of(stream) {
                    capture.last.insert(stream, mark.last);
                }
            }
        }
        Ok(())
    }
}

fn begin_in(driver: &mut Driver, stream: u64, mode: i32, graph: u64, after: Vec<u64>) -> Outcome {
    driver.stream_context(stream)?;
    if !(ANY_THREAD..=RELAXED).contains(&mode) {
        return Err(Code::INVALID_VALUE);
    }
    // The legacy stream waits for all others; it cannot be captured.
    if stream < 2 {
        return Err(Code::STREAM_CAPTURE_UNSUPPORTED);
    }
    if driver.captures.of(stream).is_some() {
        return Err(Code::INVALID_VALUE);
    }
    let id = driver.new_handle() >> 6;
    let (thread, last) = (thread(), BTreeMap::from([(stream, after)]));
    let capture = Capture {
        mode,
        origin: stream,
        thread,
        graph,
        invalid: false,
        last,
        plain_edges: Vec::new(),
    };
    driver.captures.active.insert(id, capture);
    driver.captures.of_stream.insert(stream, id);
    Ok(())
}

fn begin(driver: &mut Driver, stream: u64, mode: i32) -> Outcome {
    let graph = driver.new_graph();
    let outcome = begin_in(driver, stream, mode, graph, Vec::new());
    if outcome.is_err() {
        driver.drop_graph(graph);
    }
    driver.note("cuStreamBeginCapture", &[hex("stream", stream)], outcome)
}

fn begin_v1(driver: &mut Driver, stream: u64) -> Outcome {
    begin(driver, stream, ANY_THREAD)
}

fn begin_to_graph(
    driver: &mut Driver,
    stream: u64,
    graph: u64,
    after: In<u64>,
    _edges: u64,
    count: usize,
    mode: i32,
) -> Outcome {
    driver.graph(graph)?;
    let outcome = begin_in(driver, stream, mode, graph, after.list(count)?);
    driver.note("cuStreamBeginCaptureToGraph", &[hex("stream", stream)], outcome)
}

fn finish(driver: &mut Driver, stream: u64) -> Outcome<u64> {
    let (id, capture) = driver.captures.of(stream).ok_or(Code::INVALID_VALUE)?;
    if capture.origin != stream {
        return Err(Code::STREAM_CAPTURE_UNMATCHED);
    }
    if capture.mode == OWN_THREAD && capture.thread != thread() {
        return Err(Code::STREAM_CAPTURE_WRONG_THREAD);
    }
    driver.captures.of_stream.retain(|_, of| *of != id);
    let capture = driver.captures.active.remove(&id).ok_or(Code::INVALID_VALUE)?;
    let reached = driver.reachable(capture.last.get(&stream).cloned().unwrap_or_default());
    let joined = capture.last.values().flatten().all(|node| reached.contains(node));
    let outcome = match (capture.invalid, joined) {
        (true, _) => Err(Code::STREAM_CAPTURE_INVALIDATED),
        (_, false) => Err(Code::STREAM_CAPTURE_UNJOINED),
        _ => Ok(capture.graph),
    };
    if outcome.is_err() {
        driver.drop_graph(capture.graph);
    }
    outcome
}

fn end(driver: &mut Driver, stream: u64, out: Out<u64>) -> Outcome {
    driver.stream_context(stream)?;
    let graph = finish(driver, stream);
    out.set_if_given(graph.unwrap_or(0));
    driver.note("cuStreamEndCapture", &[hex("stream", stream)], graph).map(|_| ())
}

/// 0 no capture, 1 under way, 2 invalidated.
fn state(driver: &mut Driver, stream: u64) -> Outcome<i32> {
    driver.stream_context(stream)?;
    Ok(driver.captures.of(stream).map_or(0, |(_, capture)| if capture.invalid { 2 } else { 1 }))
}

fn is_capturing(driver: &mut Driver, stream: u64, out: Out<i32>) -> Outcome {
    out.set(state(driver, stream)?)
}

fn info(driver: &mut Driver, stream: u64, status: Out<i32>, id_out: Out<u64>) -> Outcome {
    status.set(state(driver, stream)?)?;
    if let Some((id, _)) = driver.captures.of(stream) {
        id_out.set_if_given(id);
    }
    Ok(())
}

fn info_v2(
    driver: &mut Driver,
    stream: u64,
    status: Out<i32>,
    id_out: Out<u64>,
    graph_out: Out<u64>,
    last_out: Out<*const u64>,
    count_out: Out<usize>,
) -> Outcome {
    info(driver, stream, status, id_out)?;
    if let Some((_, capture)) = driver.captures.of(stream) {
        graph_out.set_if_given(capture.graph);
        let last = capture.last.entry(stream).or_default();
        // Good until the stream's next call, which is what the caller was promised.
        last_out.set_if_given(last.as_ptr());
        count_out.set_if_given(last.len());
    }
    Ok(())
}

fn info_v3(
    driver: &mut Driver,
    stream: u64,
    status: Out<i32>,
    id_out: Out<u64>,
    graph_out: Out<u64>,
    last_out: Out<*const u64>,
    edges_out: Out<*const u64>,
    count_out: Out<usize>,
) -> Outcome {
    info_v2(driver, stream, status, id_out, graph_out, last_out, count_out)?;
    if let Some((_, capture)) = driver.captures.of(stream) {
        let count = capture.last.get(&stream).map_or(0, Vec::len);
        capture.plain_edges = vec![0; count.max(1)];
        edges_out.set_if_given(capture.plain_edges.as_ptr());
    }
    Ok(())
}

/// Flags: 0 adds to what the next node follows, 1 replaces it.
fn update(driver: &mut Driver, stream: u64, nodes: In<u64>, count: usize, flags: u32) -> Outcome {
    let nodes = nodes.list(count)?;
    let (_, capture) = driver.captures.of(stream).ok_or(Code::INVALID_VALUE)?;
    let last = capture.last.entry(stream).or_default();
    if flags & 1 != 0 {
        last.clear();
    }
    last.extend(nodes);
    Ok(())
}

fn update_v2(
    driver: &mut Driver,
    stream: u64,
    nodes: In<u64>,
    _edges: u64,
    count: usize,
    flags: u32,
) -> Outcome {
    update(driver, stream, nodes, count, flags)
}

fn exchange_mode(driver: &mut Driver, mode: Out<i32>) -> Outcome {
    let wanted = mode.get()?;
    if !(ANY_THREAD..=RELAXED).contains(&wanted) {
        return Err(Code::INVALID_VALUE);
    }
    mode.set(driver.captures.thread_modes.insert(thread(), wanted).unwrap_or(ANY_THREAD))
}

/// What this module exports.
pub static EXPORTS: &[Export] = exports! {
    cuStreamBeginCapture(stream: u64) => locked begin_v1 {
        10000: cuStreamBeginCapture, 10000 twin: cuStreamBeginCapture_ptsz,
    }
    cuStreamBeginCapture(stream: u64, mode: i32) => locked begin {
        10010: cuStreamBeginCapture_v2, 10010 twin: cuStreamBeginCapture_v2_ptsz,
    }
    cuStreamBeginCaptureToGraph(
        stream: u64, graph: u64, after: In<u64>, edges: u64, count: usize, mode: i32,
    ) => locked begin_to_graph {
        12030: cuStreamBeginCaptureToGraph, 12030 twin: cuStreamBeginCaptureToGraph_ptsz,
    }
    cuStreamEndCapture(stream: u64, out: Out<u64>) => locked end {
        10000: cuStreamEndCapture, 10000 twin: cuStreamEndCapture_ptsz,
    }
    cuStreamIsCapturing(stream: u64, out: Out<i32>) => locked is_capturing {
        10000: cuStreamIsCapturing, 10000 twin: cuStreamIsCapturing_ptsz,
    }
    cuStreamGetCaptureInfo(stream: u64, status: Out<i32>, id: Out<u64>) => locked info {
        10010: cuStreamGetCaptureInfo, 10010 twin: cuStreamGetCaptureInfo_ptsz,
    }
    cuStreamGetCaptureInfo(
        stream: u64, status: Out<i32>, id: Out<u64>, graph: Out<u64>, last: Out<*const u64>,
        count: Out<usize>,
    ) => locked info_v2 {
        11030: cuStreamGetCaptureInfo_v2, 11030 twin: cuStreamGetCaptureInfo_v2_ptsz,
    }
    cuStreamGetCaptureInfo(
        stream: u64, status: Out<i32>, id: Out<u64>, graph: Out<u64>, last: Out<*const u64>,
        edges: Out<*const u64>, count: Out<usize>,
    ) => locked info_v3 {
        12030: cuStreamGetCaptureInfo_v3, 12030 twin: cuStreamGetCaptureInfo_v3_ptsz,
    }
    cuStreamUpdateCaptureDependencies(
        stream: u64, nodes: In<u64>, count: usize, flags: u32,
    ) => locked update {
        11030: cuStreamUpdateCaptureDependencies, 11030 twin: cuStreamUpdateCaptureDependencies_ptsz,
    }
    cuStreamUpdateCaptureDependencies(
        stream: u64, nodes: In<u64>, edges: u64, count: usize, flags: u32,
    ) => locked update_v2 {
        12030: cuStreamUpdateCaptureDependencies_v2, 12030 twin: cuStreamUpdateCaptureDependencies_v2_ptsz,
    }
    cuThreadExchangeStreamCaptureMode(mode: Out<i32>) => locked exchange_mode {
        10010: cuThreadExchangeStreamCaptureMode,
    }
};
