//! A process of the report.

use super::{Detail, Subject, device, phases, shared::Commons, sites::SiteBook};
use crate::{
    ledger::End,
    nvml::Reading,
    present::report::{Events, Phases, Process, ProcessState},
    process::Bystander,
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
        },
        warnings: process.warnings.clone(),
        phases: phases::phases(subject, book),
        growth: None,
    }
}

pub(super) fn bystander(bystander: &Bystander) -> Process {
    let (state, exit_code, signal) = ending(bystander.end);
    Process {
        instance: None,
        pid: bystander.pid,
        start_time_ns: bystander.started_realtime,
        command: bystander.command.clone(),
        role: bystander.role.clone(),
        state,
        exit_code,
        signal,
        cuda: false,
        devices: Vec::new(),
        pinned_host_bytes: 0,
        events: Events::default(),
        warnings: Vec::new(),
        phases: Phases::default(),
        growth: None,
    }
}

fn ending(end: End) -> (ProcessState, Option<i32>, Option<i32>) {
    match end {
        End::Running => (ProcessState::Running, None, None),
        End::Exited(code) => (ProcessState::Exited, code, None),
        End::Killed(signal) => (ProcessState::Killed, None, Some(signal)),
        End::Ended => (ProcessState::Ended, None, None),
    }
}
