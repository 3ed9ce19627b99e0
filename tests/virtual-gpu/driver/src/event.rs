//! Events. Complete as soon as they are recorded; they carry the time, and captures from stream to
//! stream.

use std::time::Instant;

use crate::capture::Mark;
use crate::driver::Driver;
use crate::error::{Code, Outcome};
use crate::export::{Export, exports};
use crate::ffi::Out;

const WITHOUT_TIMING: u32 = 2;

/// One event.
pub struct Event {
    pub context: u64,
    flags: u32,
    recorded: Option<Instant>,
    /// Set while the last record was part of a capture.
    captured: Option<Mark>,
}

impl Driver {
    /// Makes an event in the calling thread's context.
    pub fn new_event(&mut self, flags: u32) -> Outcome<u64> {
        let context = self.current()?;
        let handle = self.new_handle();
        self.events.insert(handle, Event { context, flags, recorded: None, captured: None });
        Ok(handle)
    }

    /// The event behind a handle.
    pub fn event(&mut self, handle: u64) -> Outcome<&mut Event> {
        self.events.get_mut(&handle).ok_or(Code::INVALID_HANDLE)
    }
}

fn create(driver: &mut Driver, out: Out<u64>, flags: u32) -> Outcome {
    out.set(driver.new_event(flags)?)
}

fn destroy(driver: &mut Driver, handle: u64) -> Outcome {
    driver.events.remove(&handle).map(|_| ()).ok_or(Code::INVALID_HANDLE)
}

fn record(driver: &mut Driver, handle: u64, stream: u64) -> Outcome {
    driver.event(handle)?;
    driver.stream_context(stream)?;
    let mark = driver.capture_mark(stream)?;
    let event = driver.event(handle)?;
    event.recorded = Some(Instant::now());
    event.captured = mark;
    Ok(())
}

fn record_with_flags(driver: &mut Driver, handle: u64, stream: u64, _flags: u32) -> Outcome {
    record(driver, handle, stream)
}

fn wait(driver: &mut Driver, stream: u64, handle: u64, _flags: u32) -> Outcome {
    driver.stream_context(stream)?;
    let mark = driver.event(handle)?.captured.clone();
    driver.join_capture(stream, mark)
}

/// An event of a capture that is still going on stands for no real work.
fn query(driver: &mut Driver, handle: u64) -> Outcome {
    let mark = driver.event(handle)?.captured.clone();
    match mark {
        Some(mark) if driver.captures.is_active(mark.capture) => Err(Code::CAPTURED_EVENT),
        _ => Ok(()),
    }
}

fn synchronize(driver: &mut Driver, handle: u64) -> Outcome {
    query(driver, handle)?;
    let context = driver.event(handle)?.context;
    let device = driver.contexts.get(context)?.device;
    driver.settle_pools(device);
    Ok(())
}

fn elapsed(driver: &mut Driver, out: Out<f32>, start: u64, end: u64) -> Outcome {
    let mut time = |handle| -> Outcome<Instant> {
        let event = driver.event(handle)?;
        let timed = event.flags & WITHOUT_TIMING == 0;
        event.recorded.filter(|_| timed).ok_or(Code::INVALID_HANDLE)
    };
    let (start, end) = (time(start)?, time(end)?);
    let forward = end.saturating_duration_since(start).as_secs_f32();
    out.set((forward - start.saturating_duration_since(end).as_secs_f32()) * 1000.0)
}

/// What this module exports.
pub static EXPORTS: &[Export] = exports! {
    cuEventCreate(out: Out<u64>, flags: u32) => locked create { 2000: cuEventCreate }
    cuEventDestroy(handle: u64) => locked destroy { 2000: cuEventDestroy, 4000: cuEventDestroy_v2 }
    cuEventRecord(handle: u64, stream: u64) => locked record {
        2000: cuEventRecord, 7000 twin: cuEventRecord_ptsz,
    }
    cuEventRecordWithFlags(handle: u64, stream: u64, flags: u32) => locked record_with_flags {
        11010: cuEventRecordWithFlags, 11010 twin: cuEventRecordWithFlags_ptsz,
    }
    cuStreamWaitEvent(stream: u64, handle: u64, flags: u32) => locked wait {
        3020: cuStreamWaitEvent, 7000 twin: cuStreamWaitEvent_ptsz,
    }
    cuEventQuery(handle: u64) => locked query { 2000: cuEventQuery }
    cuEventSynchronize(handle: u64) => locked synchronize { 2000: cuEventSynchronize }
    cuEventElapsedTime(out: Out<f32>, start: u64, end: u64) => locked elapsed {
        2000: cuEventElapsedTime, 12080: cuEventElapsedTime_v2,
    }
};
