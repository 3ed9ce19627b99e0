//! Untracked growth: NVML counts more and more for a process, and no call of it explains that.

use super::{Subject, amount, bare, evidence, leak::hourly, place::Place};
use crate::{
    detect::{
        growth::Growing,
        thresholds::BY_TIME,
        untracked::{DEFAULT_GROWTH, DEFAULT_QUIET, Untracked, Verdict},
    },
    nvml::Reading,
    present::{
        report::{Confidence, Finding, Process, Rate},
        text::{bytes, clock, fine_bytes},
    },
    process::{Job, Process as Known},
};

/// The name of the verdict.
const VERDICT: &str = "untracked";

/// The findings; `processes` are the report's for the subjects, in their order.
pub(super) fn findings(job: &Job, subjects: &[Subject<'_>], processes: &[Process]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (subject, process) in subjects.iter().zip(processes) {
        for device in &process.devices {
            let place = Place { process, device };
            // Managed memory counts where it happens to lie.
            if device.managed_bytes > 0 {
                continue;
            }
            let realtime = |time| subject.identity().realtime(time);
            match detector(job, subject.process, &place).check() {
                Verdict::Growing(growing) => {
                    findings.push(growing_finding(&place, growing, realtime(growing.since)));
                }
                Verdict::Rose { at, bytes } => findings.push(rose(&place, realtime(at), bytes)),
                Verdict::Fine | Verdict::NotEnough => {}
            }
        }
    }
    findings
}

/// The detector, fed with what NVML said while what is tracked was known and at rest.
fn detector(job: &Job, process: &Known, place: &Place<'_>) -> Untracked {
    let mut detector = Untracked::default();
    let gauges = process.gauges.iter().find(|gauges| gauges.device == place.device.device);
    let steps = process.played.reserved.get(&place.device.device);
    let (Some(gauges), Some(steps)) = (gauges, steps) else { return detector };
    for reading in &job.readings {
        let Some(used) = used(reading, gauges.uuid, process.pid) else { continue };
        let time = process.identity.monotonic(reading.time);
        let before = steps.at(time.saturating_sub(DEFAULT_QUIET));
        let after = steps.at(time.saturating_add(DEFAULT_QUIET));
        if let Some(tracked) = before.filter(|_| before == after) {
            detector.push(time, used, tracked);
        }
    }
    detector
}

fn used(reading: &Reading, uuid: [u64; 2], pid: u32) -> Option<u64> {
    let gpu = reading.gpus.iter().find(|gpu| gpu.uuid == uuid)?;
    gpu.processes.iter().find(|(listed, _)| *listed == pid)?.1
}

fn growing_finding(place: &Place<'_>, growing: Growing, since_ns: u64) -> Finding {
    let by_hour = |rate: f64| hourly(rate.max(0.0), BY_TIME.unit);
    let rate = Rate {
        bytes_per_hour: by_hour(growing.rate),
        low: by_hour(growing.rate_between[0]),
        high: by_hour(growing.rate_between[1]),
        bytes_per_step: None,
    };
    let (who, grows) = (place.who(), if place.is_running() { "grows" } else { "grew" });
    Finding {
        instances: vec![place.instance(growing.bytes)],
        bytes: growing.bytes,
        text: format!(
            "what NVML counts for {who} beside what its calls took {grows} on device {}: by {} since \
             {}, {} a minute.",
            place.device.device,
            bytes(growing.bytes),
            clock(since_ns),
            fine_bytes(growing.rate as u64),
        ),
        advice: format!(
            "look in {who} for what loads code or opens channels as it goes on: kernels compiled for \
             each new shape, plans of cuDNN or cuFFT, communicators made anew."
        ),
        since_ns,
        cause: Some("growing".to_owned()),
        rate: Some(rate),
        evidence: vec![
            evidence("growth", growing.bytes, Some(DEFAULT_GROWTH), "bytes"),
            evidence("bytes a minute", growing.rate as u64, Some(BY_TIME.total_floor), "bytes"),
            amount("reserved", place.device.reserved_bytes),
        ],
        ..bare(VERDICT, Confidence::Suspect)
    }
}

fn rose(place: &Place<'_>, at: u64, by: u64) -> Finding {
    Finding {
        instances: vec![place.instance(by)],
        bytes: by,
        text: format!(
            "what NVML counts for {} beside what its calls took rose at once on device {}: by {} at \
             about {}.",
            place.who(),
            place.device.device,
            bytes(by),
            clock(at),
        ),
        advice:
            "nothing while it stays so: a library's first collective or kernel takes its buffers."
                .to_owned(),
        since_ns: at,
        cause: Some("rose at once".to_owned()),
        evidence: vec![
            evidence("rise", by, Some(DEFAULT_GROWTH), "bytes"),
            amount("reserved", place.device.reserved_bytes),
        ],
        ..bare(VERDICT, Confidence::Info)
    }
}
