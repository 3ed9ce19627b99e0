//! Stream captures. What is taken while one is under way belongs to its graph.

use crate::{
    abi::{SUCCESS, Status},
    call::{Call, Guard, Note},
    event::{Event, Op},
};

type Begin = unsafe extern "C" fn(u64) -> Status;
type BeginMode = unsafe extern "C" fn(u64, u32) -> Status;
type BeginToGraph = unsafe extern "C" fn(u64, u64, usize, usize, u64, u32) -> Status;
type BeginAgain = unsafe extern "C" fn(u64, u32, u64, usize, usize) -> Status;
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

/// `cuStreamBeginRecaptureToGraph`: of a graph that is there already.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn begin_again(
    call: &Call<'_>,
    real: BeginAgain,
    stream: u64,
    mode: u32,
    graph: u64,
    callback: usize,
    user: usize,
) -> Status {
    let guard = call.enter();
    // SAFETY: the program's own call.
    let status = unsafe { real(stream, mode, graph, callback, user) };
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
    let ended = status == SUCCESS || before && !guard.captured(stream);
    if let Some(note) = guard.note(status).filter(|_| ended) {
        let under_way = call.hooks().count_capture(false);
        note.publish(Event { address: stream, aux: under_way, ..note.event(Op::Capture) });
    }
    status
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

    use super::*;
    use crate::{
        table::Api,
        testing::{event, on, ops, recording},
    };

    extern "C" fn begin_ok(_: u64, _: u32) -> Status {
        SUCCESS
    }

    extern "C" fn begin_fails(_: u64, _: u32) -> Status {
        401
    }

    extern "C" fn end_ok(_: u64, _: *mut u64) -> Status {
        SUCCESS
    }

    /// `CUstreamCaptureStatus` that the driver tells.
    static STATE: AtomicU32 = AtomicU32::new(0);

    extern "C" fn capturing(_: u64, out: *mut u32) -> Status {
        // SAFETY: the driver's questions pass valid pointers.
        unsafe { *out = STATE.load(Relaxed) };
        SUCCESS
    }

    extern "C" fn end_of_invalidated(_: u64, _: *mut u64) -> Status {
        STATE.store(0, Relaxed);
        901
    }

    extern "C" fn end_elsewhere(_: u64, _: *mut u64) -> Status {
        908
    }

    extern "C" fn begin_again_ok(_: u64, _: u32, _: u64, _: usize, _: usize) -> Status {
        SUCCESS
    }

    #[test]
    fn a_capture_into_a_graph_that_is_captured_anew_is_one_too() {
        let hooks = recording();
        // SAFETY: the real one takes any numbers.
        on(&hooks, Api::cuStreamBeginRecaptureToGraph, |call| unsafe {
            begin_again(call, begin_again_ok, 9, 0, 0x91, 0, 0)
        });
        let began = event();
        assert_eq!((began.op, began.address, began.size, began.aux), (Op::Capture, 9, 1, 1));
        assert_eq!(hooks.captures(), 1);
    }

    #[test]
    fn captures_are_counted_while_they_last_however_they_end() {
        let hooks = recording();
        hooks.driver.set("cuStreamIsCapturing", capturing as *const () as usize);
        let start = |real| {
            // SAFETY: the real ones take any numbers.
            on(&hooks, Api::cuStreamBeginCapture_v2, |call| unsafe { begin_mode(call, real, 9, 0) })
        };
        let stop = |real| {
            // SAFETY: as above; the graph is not written.
            on(&hooks, Api::cuStreamEndCapture, |call| unsafe {
                end(call, real, 9, core::ptr::null_mut())
            })
        };
        start(begin_fails);
        assert_eq!((ops(), hooks.captures()), (vec![], 0));
        // One that began before anybody counted.
        stop(end_ok);
        assert_eq!((ops(), hooks.captures()), (vec![Op::Capture], 0));
        start(begin_ok);
        let began = event();
        assert_eq!((began.op, began.address, began.size, began.aux), (Op::Capture, 9, 1, 1));
        stop(end_ok);
        let ended = event();
        assert_eq!((ended.op, ended.address, ended.size, ended.aux), (Op::Capture, 9, 0, 0));

        start(begin_ok);
        ops();
        STATE.store(1, Relaxed);
        stop(end_elsewhere);
        assert_eq!((ops(), hooks.captures()), (vec![], 1));
        STATE.store(2, Relaxed);
        stop(end_of_invalidated);
        assert_eq!((ops(), hooks.captures()), (vec![Op::Capture], 0));
    }
}
