//! The gate over jobs made by hand.

use std::collections::BTreeMap;

use collector::{
    gate::{
        github,
        judge::{Case, judge},
        junit,
        outcome::{Outcome, Scenario, Verdict},
        presets::PRESETS,
        text,
        waves::{Wave, Waves},
    },
    ledger::{End, Health},
    nvml::{self, Reading},
    present::{
        build::{Detail, build},
        report::{Confidence, Finding, FindingInstance, Report, VERDICTS},
        text::WIDTH,
    },
    process::{Job, Process, Steps},
    state::State,
};
use wire::{
    header::{Counter, Mode, Reason, mode_word},
    record::Class,
};

#[path = "../made/mod.rs"]
mod made;
mod scenario;
mod told;

use made::*;

const SECOND: u64 = 1_000_000_000;

/// A process whose reserved memory on device 0 is so many MiB from so many seconds after its start on.
fn holding(pid: u32, end: End, seconds_and_mib: &[(u64, u64)]) -> Process {
    let mut steps = Steps::default();
    for (seconds, mib) in seconds_and_mib {
        steps.push(1_000 + seconds * SECOND, mib * MIB);
    }
    let mut process = process(pid, end);
    // Torch's peaks of it: 60 MiB reserved and 30 MiB in use, which is too little to speak of.
    process.health = Health { mode: mode_word(Mode::On, Reason::None), ..Health::default() };
    process.played.reserved = BTreeMap::from([(0, steps)]);
    process
}

/// What NVML said, by seconds: the card's use and the process's, MiB.
fn reading(second: u64, used: u64, pid: u32, mib: u64) -> Reading {
    Reading {
        time: 1_001_000 + second * SECOND,
        gpus: vec![nvml::Gpu {
            uuid: GPU,
            name: "Card".into(),
            total: 1 << 30,
            used: used * MIB,
            processes: vec![(pid, Some(mib * MIB))],
        }],
    }
}

/// A job of a hundred seconds.
fn run(processes: Vec<Process>) -> Job {
    Job { as_of: 1_001_000 + 100 * SECOND, ..job(processes) }
}

fn report(job: &Job) -> Report {
    build(job, Detail::default())
}

fn held_against(rules: &str, job: &Job, report: &Report) -> Outcome {
    let case = Case { job, report, pids: &[], followed: true, driven: None };
    judge(&case, &rules.parse().unwrap(), false, Vec::new())
}

fn finding(verdict: &str, confidence: Confidence, mib: u64, site: &str) -> Finding {
    Finding {
        verdict: verdict.into(),
        confidence,
        instances: vec![FindingInstance {
            instance: String::new(),
            device: 0,
            role: None,
            bytes: mib * MIB,
            pid: 7,
        }],
        bytes: mib * MIB,
        site: site.into(),
        text: format!("serve (pid 7) has a {verdict} at job.py:7 step."),
        advice: "Do something.".into(),
        releasable_bytes: 0,
        since_ns: 0,
        cause: None,
        rate: None,
        evidence: Vec::new(),
        pins: Vec::new(),
        exhausted: None,
        phase: None,
        holders: Vec::new(),
    }
}

/// A job in which these were found at the line of its memory.
fn found(findings: &[(&str, Confidence, u64)]) -> (Job, Report) {
    let job = run(vec![holding(7, End::Running, &[(1, 50)])]);
    let mut report = report(&job);
    let site = report.sites.iter().find(|(_, site)| site.line.is_some()).unwrap().0.clone();
    report.findings = findings.iter().map(|(v, c, mib)| finding(v, *c, *mib, &site)).collect();
    (job, report)
}

#[test]
fn a_finding_fails_its_rule_and_no_other() {
    let (job, report) = found(&[("creep", Confidence::Alert, 100)]);
    let outcome = |rules| held_against(rules, &job, &report);
    for rules in ["creep", "any", "creep:>99MiB", "any:>99MiB", "wrong-card,creep"] {
        assert_eq!(outcome(rules).verdict, Verdict::Fail, "{rules}");
    }
    for rules in ["wrong-card", "creep:>100MiB", "any:>1GiB"] {
        assert_eq!(outcome(rules).verdict, Verdict::Pass, "{rules}");
    }
    let failed = outcome("wrong-card,creep");
    let [failure] = failed.failures.as_slice() else { panic!() };
    assert_eq!((failure.rule.as_str(), &failure.pids[..]), ("creep", &[7][..]));
    assert_eq!((failure.file.as_deref(), failure.line), (Some("job.py"), Some(7)));
    let verdicts: Vec<Verdict> = failed.rules.iter().map(|rule| rule.verdict).collect();
    assert_eq!(verdicts, [Verdict::Pass, Verdict::Fail]);
}

#[test]
fn suspects_fail_only_where_one_asks_for_it_and_information_never() {
    let all = [("creep", Confidence::Suspect, 100), ("wrong-card", Confidence::Info, 100)];
    let (job, report) = found(&all);
    let case = Case { job: &job, report: &report, pids: &[], followed: true, driven: None };
    let rules = "any".parse().unwrap();
    let calm = judge(&case, &rules, false, Vec::new());
    assert_eq!((calm.verdict, calm.suspects.len(), calm.failures.len()), (Verdict::Pass, 1, 0));
    let strict = judge(&case, &rules, true, Vec::new());
    assert_eq!((strict.verdict, strict.failures.len()), (Verdict::Fail, 1));
    let elsewhere = Case { pids: &[8], ..case };
    assert!(judge(&elsewhere, &rules, true, Vec::new()).failures.is_empty());
}

#[test]
fn growth_is_told_by_who_saw_more_and_leaves_out_the_first_fifth() {
    let steps = [(1, 900), (15, 100), (40, 150), (41, 100)];
    let mut job = run(vec![holding(7, End::Running, &steps)]);
    let outcome = held_against("growth:>50MiB", &job, &report(&job));
    assert_eq!(outcome.verdict, Verdict::Pass);
    let [told] = outcome.processes.as_slice() else { panic!() };
    assert_eq!((told.told().1, told.growth_bytes), ("ledger", 50 * MIB));
    job.readings = vec![reading(10, 500, 7, 300), reading(30, 700, 7, 500), reading(50, 1, 7, 1)];
    let outcome = held_against("growth:>199MiB", &job, &report(&job));
    assert_eq!(outcome.verdict, Verdict::Fail);
    let text = &outcome.failures[0].text;
    let expected = "serve (pid 7) grew on device 0 by 200.0 MiB after the warm-up: from 300.0 MiB to \
                    at most 500.0 MiB, and 1.0 MiB at last, by NVML. The limit is 199.0 MiB.";
    assert_eq!(text, expected);
}

#[test]
fn the_peak_of_a_gpu_is_that_of_all_its_processes_at_once() {
    let processes = vec![
        holding(7, End::Running, &[(1, 300), (50, 100)]),
        holding(8, End::Running, &[(60, 250)]),
    ];
    let mut job = run(processes);
    let peak = |job: &Job| held_against("peak:>1GiB", job, &report(job)).gpus[0].peak_bytes / MIB;
    assert_eq!(peak(&job), 350);
    job.readings = vec![reading(10, 640, 7, 300)];
    assert_eq!(peak(&job), 640);
    let outcome = held_against("peak:>600MiB", &job, &report(&job));
    assert_eq!(outcome.verdict, Verdict::Fail);
    // One that ended gave all of it back.
    job.readings.clear();
    job.processes[0].end = End::Exited(Some(0));
    job.processes[0].health.exited = 55 * SECOND;
    assert_eq!(peak(&job), 300);
    assert!(outcome.failures[0].text.contains("640.0 MiB were in use"));
}

#[test]
fn a_share_of_little_is_no_fragmentation() {
    let mut process = holding(7, End::Running, &[(1, 50)]);
    let job = run(vec![process.clone()]);
    assert_eq!(held_against("frag:>0.1", &job, &report(&job)).verdict, Verdict::Pass);
    process.gauges[0].torch_reserved_peak = 400 * MIB;
    process.gauges[0].allocated_peak = 300 * MIB;
    let job = run(vec![process]);
    let outcome = |rules| held_against(rules, &job, &report(&job));
    assert_eq!(outcome("frag:>0.25").verdict, Verdict::Pass);
    assert_eq!(outcome("frag:>0.24").verdict, Verdict::Fail);
}

#[test]
fn what_was_not_recorded_or_was_lost_is_not_judged() {
    let nobody = run(Vec::new());
    let outcome = held_against("any", &nobody, &report(&nobody));
    assert_eq!(outcome.verdict, Verdict::Undecided);
    assert!(outcome.undecided[0].starts_with("no process"), "{:?}", outcome.undecided);

    let mut off = holding(7, End::Running, &[]);
    off.health.mode = mode_word(Mode::Off, Reason::NoRoom);
    off.warnings = vec!["not recorded: there was no room".into()];
    let job = run(vec![off]);
    let outcome = held_against("any", &job, &report(&job));
    assert_eq!(outcome.undecided, ["serve (pid 7) was not recorded: there was no room"]);

    let mut lossy = holding(7, End::Running, &[]);
    lossy.health.counters = vec![0; 15];
    lossy.health.counters[Counter::DroppedBusy as usize] = 3;
    let job = run(vec![lossy]);
    let report = report(&job);
    assert_eq!(held_against("any", &job, &report).verdict, Verdict::Undecided);
    // Rings alone hold the newest events by their nature.
    let rings = Case { job: &job, report: &report, pids: &[], followed: false, driven: None };
    assert_eq!(judge(&rings, &"any".parse().unwrap(), false, vec![]).verdict, Verdict::Pass);
}
