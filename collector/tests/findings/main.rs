//! The findings about jobs made by hand.

use std::collections::BTreeMap;

use collector::{
    detect::{creep::Creep, out_of_memory::Moments},
    ledger::{End, Event, Live},
    nvml,
    present::{
        build::{Detail, build},
        report::{Confidence, Finding, Report},
    },
    process::{Process, Steps},
    state::{Site, State},
};
use wire::record::{Class, FLAG_PRIVATE, Record, Verb};

mod creep;
mod fragmentation;
#[path = "../made/mod.rs"]
mod made;
mod out_of_memory;

use made::*;

const GIB: u64 = 1 << 30;

fn report(processes: Vec<Process>) -> Report {
    build(&job(processes), Detail::default())
}

fn value(finding: &Finding, what: &str) -> u64 {
    finding.evidence.iter().find(|number| number.what == what).expect(what).value
}

/// Two ranks with a GPU each, the second with `stray` on the first's.
fn ranks(stray: u64) -> Vec<Process> {
    let other: [u64; 2] = [1, 1];
    let mut first = process(7, End::Running);
    first.role = Some("rank 0".into());
    first.gauges[0].reserved_peak = 20 * GIB;
    let mut second = process(8, End::Running);
    second.role = Some("rank 1".into());
    second.gauges[0].reserved_peak = stray;
    second.gauges.push(collector::ledger::Gauges {
        device: 1,
        uuid: other,
        reserved_peak: 20 * GIB,
        ..second.gauges[0]
    });
    vec![first, second]
}

#[test]
fn a_rank_on_another_s_gpu_is_told_with_both_names() {
    let report = report(ranks(2 * GIB));
    let [finding] = report.findings.as_slice() else { panic!("{:?}", report.findings) };
    assert_eq!((finding.verdict.as_str(), finding.bytes), ("wrong-card", 2 * GIB));
    let start = "rank 1 (pid 8) took memory on the GPU of rank 0 (pid 7): 2.0 GiB on device 0";
    assert!(finding.text.starts_with(start), "{}", finding.text);
    assert_eq!(finding.instances[0].pid, 8);
    assert!(report.sites.contains_key(&finding.site));
    // The 50 MiB that it holds there by itself are what collectives need.
    assert_eq!(self::report(ranks(50 * MIB)).findings, []);
    assert_eq!(self::report(ranks(6 * GIB)).findings[0].confidence, Confidence::Suspect);
}

/// What NVML says once a minute for four hours of a process that holds what it holds.
fn read_by_nvml(untracked: impl Fn(u64) -> u64) -> Vec<Finding> {
    let mut process = process(7, End::Running);
    let mut steps = Steps::default();
    steps.push(process.identity.started_monotonic, 50 * MIB);
    process.played.reserved = BTreeMap::from([(0, steps)]);
    let mut job = job(vec![process]);
    for minute in 1..=240 {
        let (time, used) = (minute * 60_000_000_000, 50 * MIB + untracked(minute));
        let (name, processes) = (String::new(), vec![(7, Some(used))]);
        let gpu = nvml::Gpu { uuid: GPU, name, total: 16 * GIB, used, processes };
        job.readings.push(nvml::Reading { time, gpus: vec![gpu] });
    }
    job.as_of = 241 * 60_000_000_000;
    let mut findings = build(&job, Detail::default()).findings;
    findings.retain(|finding| finding.verdict == "untracked");
    findings
}

#[test]
fn what_nvml_counts_more_and_more_of_is_suspect_and_a_high_level_is_nothing() {
    assert_eq!(read_by_nvml(|_| 9 * GIB), []);
    let findings = read_by_nvml(|minute| (500 + 4 * minute) * MIB);
    let [finding] = findings.as_slice() else { panic!("{findings:?}") };
    assert_eq!(finding.confidence, Confidence::Suspect);
    let hourly = finding.rate.unwrap().bytes_per_hour;
    assert!(hourly.abs_diff(240 * MIB) < 5 * MIB, "{hourly}");
    assert!((500 * MIB..960 * MIB).contains(&finding.bytes), "{}", finding.bytes);
}

#[test]
fn what_nvml_counts_at_once_is_to_be_known() {
    let findings = read_by_nvml(|minute| if minute < 150 { 500 * MIB } else { 3_500 * MIB });
    let [finding] = findings.as_slice() else { panic!("{findings:?}") };
    assert_eq!((finding.confidence, finding.bytes), (Confidence::Info, 3_000 * MIB));
}
