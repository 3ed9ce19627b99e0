//! The head of a report in which nothing is wrong: one sentence.

use super::{
    amount::{bytes, count, duration},
    who,
};
use crate::present::{
    report::{Process, ProcessState, Report},
    total,
};

/// Cache that is not worth a word, bytes.
const LITTLE: u64 = 64 << 20;
/// A process is named where it has at least half of the cache, one part in so many.
const MOST: u64 = 2;

pub(super) fn sentence(report: &Report) -> String {
    let traced = report.processes.iter().filter(|process| process.instance.is_some());
    let traced: Vec<&Process> = traced.collect();
    let Some(start) = traced.iter().map(|process| process.start_time_ns).min() else {
        return "No process has used CUDA under memtrace.".to_owned();
    };
    let noun = if traced.len() == 1 { "process" } else { "processes" };
    let steps = traced.iter().filter_map(|process| process.phases.steps.as_ref());
    let steps = steps.map(|steps| steps.count).max();
    format!(
        "{}, {}{} {noun}: nothing wrong was found{}.{}",
        duration(report.as_of_ns.saturating_sub(start)),
        steps.map(|steps| format!("{}, ", count(steps, "step"))).unwrap_or_default(),
        traced.len(),
        cache(&traced),
        too_soon(&traced),
    )
}

/// What it takes to tell a leak, where no process was watched for so long.
fn too_soon(traced: &[&Process]) -> String {
    let devices = traced.iter().flat_map(|process| &process.devices);
    let trends = devices.filter_map(|device| device.trend.as_ref());
    // Of what was watched, the most decides.
    let most = trends.max_by_key(|trend| trend.units * 100 / trend.enough.max(1));
    match most.filter(|trend| trend.units < trend.enough) {
        Some(trend) => format!(
            " A leak shows after {}; {} watched.",
            count(trend.enough, &trend.unit),
            if trend.units == 1 { "1 was".to_owned() } else { format!("{} were", trend.units) },
        ),
        None => String::new(),
    }
}

/// What `empty_cache()` would give back in the processes that run.
fn cache(traced: &[&Process]) -> String {
    let running = traced.iter().filter(|process| process.state == ProcessState::Running);
    let caches: Vec<(&&Process, u64)> = running.map(|process| (process, of(process))).collect();
    let all = total(caches.iter().map(|(_, bytes)| *bytes));
    if all < LITTLE {
        return String::new();
    }
    let most = caches.iter().max_by_key(|(_, bytes)| *bytes);
    let most = most.filter(|(_, most)| traced.len() > 1 && *most >= all / MOST);
    let whose = most.map(|(process, most)| {
        let name = who::name(process.role.as_deref(), &process.command);
        format!(" ({} in {name})", bytes(*most))
    });
    format!("; {} of cache could be given back{}", bytes(all), whose.unwrap_or_default())
}

fn of(process: &Process) -> u64 {
    let allocators = process.devices.iter().flat_map(|device| &device.allocators);
    total(allocators.map(|allocator| allocator.releasable_bytes))
}
