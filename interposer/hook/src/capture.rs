//! Stream captures. What is taken while one is under way belongs to its graph.

use crate::{
    abi::{SUCCESS, Status},
    event::{Event, Op},
    hooks::{Call, Guard, Note},
};

type Begin = unsafe extern "C" fn(u64) -> Status;
type BeginMode = unsafe extern "C" fn(u64, u32) -> Status;
type BeginToGraph = unsafe extern "C" fn(u64, u64, usize, usize, u64, u32) -> Status;
type End = unsafe extern "C" fn(u64, *mut u64) -> Status;

fn began(call: &Call<'_>, guard: &Guard<'_>, status: Status, stream: u64) {
    if let Some(note) = guard.note(status).filter(Note::succeeded) {
        let under_way = call.hooks().count_capture(true);
        let event = note.event(Op::Capture);
        note.publish(Event { address: stream, size: 1, aux: under_way, ..event });
    }
}

/// `cuStreamBeginCapture`.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn begin(call: &Call<'_>, real: Begin, stream: u64) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(stream) };
    began(call, &guard, status, stream);
    status
}

/// `cuStreamBeginCapture` with a mode.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn begin_mode(call: &Call<'_>, real: BeginMode, stream: u64, mode: u32) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(stream, mode) };
    began(call, &guard, status, stream);
    status
}

/// `cuStreamBeginCaptureToGraph`.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
#[allow(clippy::too_many_arguments, reason = "the real function's")]
pub unsafe fn begin_to_graph(
    call: &Call<'_>,
    real: BeginToGraph,
    stream: u64,
    graph: u64,
    dependencies: usize,
    edges: usize,
    count: u64,
    mode: u32,
) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(stream, graph, dependencies, edges, count, mode) };
    began(call, &guard, status, stream);
    status
}

/// `cuStreamEndCapture`. A capture that was invalidated ends too, with an error.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn end(call: &Call<'_>, real: End, stream: u64, graph: *mut u64) -> Status {
    let guard = call.enter();
    let before = guard.captured(stream);
    // SAFETY: the program's own call.
    let status = unsafe { real(stream, graph) };
    if status == SUCCESS || before && !guard.captured(stream) {
        if let Some(note) = guard.note(status) {
            let under_way = call.hooks().count_capture(false);
            note.publish(Event { address: stream, aux: under_way, ..note.event(Op::Capture) });
        }
    }
    status
}
