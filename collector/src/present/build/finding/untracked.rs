//! Untracked growth: NVML counts more and more for a process, and no call of it explains that.

use super::{Subject, amount, bare, evidence, leak::hourly, place::Place};
use crate::{
    detect::{
        growth::Growing,
        thresholds::BY_TIME,
        untracked::{DEFAULT_GROWTH, Untracked, Verdict},
    },
    present::{
        build::untracked::{at_rest, modules},
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
                    let loaded =
                        modules(subject.process, place.device.device, growing.since, u64::MAX);
                    findings.push(growing_finding(
                        &place,
                        growing,
                        realtime(growing.since),
                        loaded,
                    ));
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
    if let Some(gauges) = process.gauges.iter().find(|gauges| gauges.device == place.device.device)
    {
        at_rest(&job.readings, process, gauges, |time, used, tracked| {
            detector.push(time, used, tracked);
        });
    }
    detector
}

fn growing_finding(place: &Place<'_>, growing: Growing, since_ns: u64, loaded: u64) -> Finding {
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
             {}, {} a minute{}.",
            place.device.device,
            bytes(growing.bytes),
            clock(since_ns),
            fine_bytes(growing.rate as u64),
            meanwhile(loaded),
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
            evidence("modules loaded", loaded, None, "modules"),
            amount("reserved", place.device.reserved_bytes),
        ],
        ..bare(VERDICT, Confidence::Suspect)
    }
}

/// What the process was seen to do as it grew.
fn meanwhile(loaded: u64) -> String {
    match loaded {
        0 => String::new(),
        1 => "; meanwhile it loaded 1 module of code".to_owned(),
        more => format!("; meanwhile it loaded {more} modules of code"),
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
