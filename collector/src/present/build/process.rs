//! A process of the report.

use super::{Detail, Subject, device, phases, shared::Commons, sites::SiteBook};
use crate::{
    ledger::End,
    nvml::Reading,
    present::{
        report::{Events, Phases, Process, ProcessState},
        text,
    },
    process::{Bystander, Job},
};
use wire::header::Counter;

pub(super) fn traced(
    subject: &mut Subject<'_>,
    book: &mut SiteBook,
    commons: &Commons<'_>,
    reading: Option<&Reading>,
    detail: Detail,
) -> Process {
    let process = subject.process;
    let gauges = &process.gauges;
    let devices =
        gauges.iter().map(|g| device::device(subject, book, commons, g, reading, detail)).collect();
    let (state, exit_code, signal) = ending(process.end);
    let losses = process.losses;
    Process {
        instance: Some(process.identity.instance.to_string()),
        pid: process.pid,
        start_time_ns: process.identity.started_realtime,
        command: process.command.clone(),
        role: process.role.clone(),
        state,
        exit_code,
        signal,
        cuda: true,
        devices,
        pinned_host_bytes: process.played.state.pinned(),
        events: Events {
            seen: process.health.head,
            dropped: process.health.counter(Counter::DroppedBusy) + losses.damaged,
            overwritten: losses.overwritten,
            live_overflow: process.health.counter(Counter::LiveOverflow),
            unlisted_bytes: process.health.counter(Counter::UnlistedBytes),
            in_flight: process.in_flight.into(),
            unknown_frees: process.health.counter(Counter::UnknownFree),
            refused_frees: process.health.counter(Counter::RefusedFree),
        },
        warnings: process.warnings.clone(),
        phases: phases::phases(subject, book),
        growth: None,
    }
}

/// One that left no ledger. It never used CUDA, unless NVML saw it on a card: then it ran without the
/// library, and of what it took nothing else is known.
pub(super) fn bystander(bystander: &Bystander, job: &Job) -> Process {
    let (state, exit_code, signal) = ending(bystander.end);
    let seen = most_on_cards(bystander, job);
    let untraced = seen.map(|bytes| {
        let bytes = bytes.map_or_else(String::new, |bytes| format!(" with {}", text::bytes(bytes)));
        format!(
            "not traced: NVML saw it on a card{bytes}, and it left no ledger, as of a program that \
             is started without libmemtrace.so; where LD_PRELOAD was taken away, \
             MEMTRACE_FOLLOW=all puts the library back"
        )
    });
    Process {
        instance: None,
        pid: bystander.pid,
        start_time_ns: bystander.started_realtime,
        command: bystander.command.clone(),
        role: bystander.role.clone(),
        state,
        exit_code,
        signal,
        cuda: untraced.is_some(),
        devices: Vec::new(),
        pinned_host_bytes: 0,
        events: Events::default(),
        warnings: untraced.into_iter().collect(),
        phases: Phases::default(),
        growth: None,
    }
}

/// The most that NVML saw it use at one moment, on all cards; `None` if it was on none.
fn most_on_cards(bystander: &Bystander, job: &Job) -> Option<Option<u64>> {
    // Before it began, the pid was another's; and it is again once another process of that pid begins.
    let began = bystander.started_realtime;
    let traced = job.processes.iter().map(|other| (other.pid, other.identity.started_realtime));
    let others = job.bystanders.iter().map(|other| (other.pid, other.started_realtime));
    let same = traced.chain(others).filter(|(pid, _)| *pid == bystander.pid);
    let next = same.map(|(_, began)| began).filter(|next| *next > began).min();
    let its_own =
        |reading: &&Reading| reading.time >= began && next.is_none_or(|next| reading.time < next);
    let then = job.readings.iter().filter(its_own);
    let at_once = then.filter_map(|reading| {
        let cards = reading.gpus.iter().flat_map(|gpu| &gpu.processes);
        let here = cards.filter(|(pid, _)| *pid == bystander.pid).map(|(_, bytes)| *bytes);
        here.reduce(|one, other| one.zip(other).map(|(one, other)| one.saturating_add(other)))
    });
    at_once.max()
}

fn ending(end: End) -> (ProcessState, Option<i32>, Option<i32>) {
    match end {
        End::Running => (ProcessState::Running, None, None),
        End::Exited(code) => (ProcessState::Exited, code, None),
        End::Killed(signal) => (ProcessState::Killed, None, Some(signal)),
        End::Ended => (ProcessState::Ended, None, None),
    }
}
