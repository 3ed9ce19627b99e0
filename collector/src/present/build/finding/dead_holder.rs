//! Dead holders: memory that processes of a job hold after their time.

use super::{
    Subject, amount, bare,
    place::{Place, who},
};
use crate::{
    detect::dead_holder::{Cause, Left, Verdict, check},
    ledger::End,
    present::{
        report::{Confidence, Finding, Process},
        text::{bytes, clock},
    },
    process::{Job, Process as Known},
};

/// The name of the verdict.
const VERDICT: &str = "dead-holder";

impl Cause {
    const fn name(self) -> &'static str {
        match self {
            Self::Orphan => "orphan",
            Self::Ended => "ended",
        }
    }
}

/// The findings; `processes` are the report's for the subjects, in their order.
pub(super) fn findings(job: &Job, subjects: &[Subject<'_>], processes: &[Process]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (subject, process) in subjects.iter().zip(processes) {
        for device in &process.devices {
            let place = Place { process, device };
            let left = left(job, subject.process, &place);
            findings.extend(left.and_then(|left| finding(subject.process, &place, &left)));
        }
    }
    findings
}

/// What a process holds on a device after its time.
fn left(job: &Job, process: &Known, place: &Place<'_>) -> Option<Left> {
    let instance = process.identity.instance;
    if let Some(outlived) = job.outlived.iter().find(|one| one.instance == instance) {
        let (ended, seen) = (Some(outlived.ended), outlived.seen);
        let bytes = place.device.nvml_bytes.unwrap_or(0).max(place.device.reserved_bytes);
        return Some(Left { cause: Cause::Orphan, bytes, ended, seen });
    }
    if process.end == End::Running || is_again(job, process) {
        return None;
    }
    // Only what NVML said last: earlier it may have been there still.
    let reading = job.readings.last()?;
    let gauges = process.gauges.iter().find(|gauges| gauges.device == place.device.device)?;
    let gpu = reading.gpus.iter().find(|gpu| gpu.uuid == gauges.uuid)?;
    let (_, told) = gpu.processes.iter().find(|(pid, _)| *pid == process.pid)?;
    let bytes = told.unwrap_or(place.device.reserved_bytes);
    let ended = job.ended_by.get(&instance).copied();
    Some(Left { cause: Cause::Ended, bytes, ended, seen: reading.time })
}

/// Whether its pid is another traced process's now, or another image's of the same.
fn is_again(job: &Job, process: &Known) -> bool {
    job.processes.iter().any(|other| {
        other.pid == process.pid
            && other.identity.instance != process.identity.instance
            && other.identity.started_realtime >= process.identity.started_realtime
    })
}

fn finding(process: &Known, place: &Place<'_>, left: &Left) -> Option<Finding> {
    let confidence = match check(left) {
        Verdict::Held => Confidence::Alert,
        Verdict::Perhaps => Confidence::Suspect,
        Verdict::Fine => return None,
    };
    let (pid, device) = (process.pid, place.device.device);
    let held = bytes(left.bytes);
    let at = clock(left.seen);
    let (text, advice) = match left.cause {
        Cause::Orphan => (
            format!(
                "{} outlived its job: at {at} it was alive and held {held} of device {device}; its \
                 job ended at {}.",
                who(place.process),
                clock(left.ended.unwrap_or(0)),
            ),
            format!("kill {pid}, and if it does not end: kill -9 {pid}."),
        ),
        Cause::Ended => (
            format!(
                "{} has {}, and its memory is held: at {at} NVML counted {held} for it on device \
                 {device}. At its end it had {} reserved.",
                who(place.process),
                how(process.end),
                bytes(place.device.reserved_bytes),
            ),
            format!(
                "kill -9 {pid} ends threads of it that hang; if it is a zombie without any (ps -L -p \
                 {pid}), another process keeps its memory open: end the rest of the job."
            ),
        ),
    };
    Some(Finding {
        instances: vec![place.instance(left.bytes)],
        bytes: left.bytes,
        text,
        advice,
        since_ns: left.ended.unwrap_or(left.seen),
        cause: Some(left.cause.name().to_owned()),
        evidence: vec![
            amount("held after its time", left.bytes),
            amount("reserved last", place.device.reserved_bytes),
        ],
        ..bare(VERDICT, confidence)
    })
}

fn how(end: End) -> String {
    match end {
        End::Killed(signal) => format!("been killed by signal {signal}"),
        End::Exited(Some(code)) => format!("ended with status {code}"),
        End::Exited(None) | End::Ended | End::Running => "ended".to_owned(),
    }
}
