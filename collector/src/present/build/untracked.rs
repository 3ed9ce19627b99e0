//! What the driver counts for a process beside what its calls took: how that came about.

use wire::record::Step;

use crate::{
    detect::{
        jumps::{Jump, Jumps},
        untracked::DEFAULT_QUIET,
    },
    ledger::Gauges,
    nvml::Reading,
    present::report::{CallCount, UntrackedStep},
    process::Process,
    state::Device,
};

/// Calls that are told, in the order in which they are.
const TOLD: [(Step, &str); 6] = [
    (Step::ContextMade, "context made"),
    (Step::ModuleLoaded, "module loaded"),
    (Step::FunctionLoaded, "function loaded"),
    (Step::LimitSet, "limit set"),
    (Step::GraphAllocates, "graph allocates"),
    (Step::CheckpointRestored, "checkpoint restored"),
];

/// Hands on what NVML said of a process on a device while what is tracked was known and at rest:
/// when, `CLOCK_MONOTONIC` ns, the bytes it counts, and those of them that are tracked.
pub(super) fn at_rest(
    readings: &[Reading],
    process: &Process,
    gauges: &Gauges,
    mut see: impl FnMut(u64, u64, u64),
) {
    let Some(steps) = process.played.reserved.get(&gauges.device) else { return };
    for reading in readings {
        let Some(used) = used(reading, gauges.uuid, process.pid) else { continue };
        let time = process.identity.monotonic(reading.time);
        let (from, until) =
            (time.saturating_sub(DEFAULT_QUIET), time.saturating_add(DEFAULT_QUIET));
        if let Some(tracked) = steps.level(from, until) {
            see(time, used, tracked);
        }
    }
}

fn used(reading: &Reading, uuid: [u64; 2], pid: u32) -> Option<u64> {
    let gpu = reading.gpus.iter().find(|gpu| gpu.uuid == uuid)?;
    gpu.processes.iter().find(|(listed, _)| *listed == pid)?.1
}

/// The calls of a stretch of time after which the driver may hold more. Where there is none, those that
/// returned soon after it: a call is recorded as it returns, and was under way when the driver was asked.
fn calls(process: &Process, device: Device, jump: &Jump) -> Vec<CallCount> {
    let of = |from, until| -> Vec<CallCount> {
        let counts = TOLD.iter().map(|(step, what)| CallCount {
            what: (*what).to_owned(),
            count: process.played.calls.count(device, *step, from, until),
        });
        counts.filter(|call| call.count > 0).collect()
    };
    let within = of(jump.from, jump.until);
    if within.is_empty() {
        of(jump.until, jump.until.saturating_add(DEFAULT_QUIET))
    } else {
        within
    }
}

/// How many modules a process loaded on a device from `from` to `until`, `CLOCK_MONOTONIC`, ns.
pub(super) fn modules(process: &Process, device: Device, from: u64, until: u64) -> u64 {
    process.played.calls.count(device, Step::ModuleLoaded, from, until)
}

/// The steps in which what is untracked rose on a device, oldest first.
pub(super) fn steps(
    readings: &[Reading],
    process: &Process,
    gauges: &Gauges,
) -> Vec<UntrackedStep> {
    let mut jumps = Jumps::new(process.identity.started_monotonic);
    // Where managed memory lies, NVML counts it and no call says.
    if process.played.state.totals(gauges.device).managed == 0 {
        at_rest(readings, process, gauges, |time, used, tracked| {
            jumps.push(time, used.saturating_sub(tracked));
        });
    }
    let told = jumps.seen().iter().map(|jump| UntrackedStep {
        bytes: jump.bytes,
        from_ns: process.identity.realtime(jump.from),
        until_ns: process.identity.realtime(jump.until),
        calls: calls(process, gauges.device, jump),
    });
    told.collect()
}
