//! What NVML counts for a process beside what its calls took, and the calls of that second.

use std::collections::BTreeMap;

use collector::{
    ledger::End,
    nvml::{Gpu, Reading},
    present::{
        build::{Detail, build},
        report::{CallCount, Report, UntrackedStep},
        text::render,
    },
    process::{Calls, Process, Steps},
};
use wire::record::{Class, NO_STACK, Record, Step, Verb};

mod made;
use made::*;

const SECOND: u64 = 1_000_000_000;

/// A process that did these steps, in milliseconds since it began.
fn who_did(steps: &[(u64, Step)]) -> Process {
    let mut process = process(7, End::Running);
    let began = process.identity.started_monotonic;
    let mut reserved = Steps::default();
    reserved.push(began, 50 * MIB);
    process.played.reserved = BTreeMap::from([(0, reserved)]);
    let mut calls = Calls::default();
    for (millisecond, step) in steps {
        let (verb, class, aux) = (Verb::Called, Class::None, *step as u64);
        let time = began + millisecond * (SECOND / 1000);
        let (address, size, api, device, result, tid, flags) = (0, 0, 0, 0, 0, 1, 0);
        let (native, python) = (NO_STACK, NO_STACK);
        calls.push(&Record {
            time,
            address,
            size,
            aux,
            verb,
            class,
            api,
            device,
            result,
            tid,
            flags,
            native,
            python,
        });
    }
    process.played.calls = calls;
    process
}

/// The report after NVML counted so many MiB beside what is tracked, in the middle of each second.
fn report(process: Process, untracked: &[u64]) -> Report {
    let began = process.identity.started_realtime;
    let mut job = job(vec![process]);
    for (second, mib) in (0..).zip(untracked) {
        let used = (50 + mib) * MIB;
        let (name, processes) = (String::new(), vec![(7, Some(used))]);
        let gpu = Gpu { uuid: GPU, name, total: 1 << 34, used, processes };
        job.readings.push(Reading { time: began + second * SECOND + SECOND / 2, gpus: vec![gpu] });
    }
    build(&job, Detail::default())
}

#[test]
fn growth_that_no_call_shows_stands_beside_the_calls_of_its_second() {
    let loaded = [3000, 3000, 9000].map(|at| (at, Step::ModuleLoaded));
    let steps = [&[(0, Step::ContextMade)], &loaded[..]].concat();
    let report = report(who_did(&steps), &[400, 400, 400, 464, 464, 500, 500, 500]);
    let told = &report.processes[0].devices[0].untracked_steps;
    let bytes: Vec<u64> = told.iter().map(|step| step.bytes / MIB).collect();
    assert_eq!(bytes, [400, 64, 36]);
    let calls = |what: &str, count| vec![CallCount { what: what.to_owned(), count }];
    assert_eq!(told[0].calls, calls("context made", 1));
    assert_eq!(told[1].calls, calls("module loaded", 2));
    assert_eq!(told[2].calls, []);
    assert_eq!(told[1].until_ns - told[1].from_ns, SECOND);
    let text = render(&report).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("untracked grew by 64.0 MiB from"), "{text}");
    assert!(text.contains("meanwhile: 2 × module loaded"), "{text}");
    assert!(text.contains("untracked grew by 36.0 MiB from"), "{text}");
    assert!(text.contains("meanwhile: no call tells why"), "{text}");
}

#[test]
fn a_call_that_was_under_way_when_nvml_was_asked_is_that_of_the_growth() {
    let told = |steps: &[(u64, Step)]| {
        let report = report(who_did(steps), &[400, 464, 464, 528, 528]);
        let steps = report.processes[0].devices[0].untracked_steps.clone();
        let of = |step: &UntrackedStep| step.calls.iter().map(|call| call.count).sum::<u64>();
        steps.iter().map(of).collect::<Vec<_>>()
    };
    let load = |at| (at, Step::ModuleLoaded);
    // Asked after 0.5, 1.5, 2.5 … seconds.
    assert_eq!(told(&[load(100), load(1000), load(3000)]), [2, 1], "one rise in two readings");
    assert_eq!(told(&[load(100), load(3600)]), [1, 1]);
    assert_eq!(told(&[load(100), load(3800)]), [1, 0], "too late");
    assert_eq!(told(&[load(100), load(3000), load(3600)]), [1, 1], "not under way");
}

#[test]
fn what_was_taken_and_given_back_around_the_reading_is_no_growth() {
    let mut process = who_did(&[(100, Step::ModuleLoaded)]);
    let began = process.identity.started_monotonic;
    let reserved = process.played.reserved.get_mut(&0).unwrap();
    // NVML is asked in the midst of it, after 2.5 s.
    for (millisecond, mib) in [(2450, 250), (2550, 50)] {
        reserved.push(began + millisecond * (SECOND / 1000), mib * MIB);
    }
    let report = report(process, &[400, 400, 600, 400]);
    let bytes: Vec<u64> = report.processes[0].devices[0]
        .untracked_steps
        .iter()
        .map(|step| step.bytes / MIB)
        .collect();
    assert_eq!(bytes, [400]);
}

#[test]
fn what_stays_level_and_what_nobody_asked_nvml_about_is_no_growth() {
    let level = report(who_did(&[(1000, Step::ModuleLoaded)]), &[400, 410, 400, 410]);
    assert_eq!(level.processes[0].devices[0].untracked_steps.len(), 1, "the context");
    let unasked = report(who_did(&[(1000, Step::ModuleLoaded)]), &[]);
    assert_eq!(unasked.processes[0].devices[0].untracked_steps, []);
}

#[test]
fn a_finding_of_growth_says_how_much_code_was_loaded_meanwhile() {
    let minutes = 4 * 60;
    let steps: Vec<(u64, Step)> =
        (0..minutes).map(|minute| (minute * 60_000, Step::ModuleLoaded)).collect();
    let untracked: Vec<u64> = (0..minutes * 60).map(|second| 500 + second / 15).collect();
    let report = report(who_did(&steps), &untracked);
    let finding = report.findings.iter().find(|finding| finding.verdict == "untracked");
    let finding = finding.unwrap_or_else(|| panic!("{:?}", report.findings));
    let loaded = finding.evidence.iter().find(|number| number.what == "modules loaded").unwrap();
    assert!(loaded.value > 100, "{finding:?}");
    let meanwhile = format!("; meanwhile it loaded {} modules of code.", loaded.value);
    assert!(finding.text.ends_with(&meanwhile), "{}", finding.text);
}
