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

mod made;
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

/// Twenty waves of five requests, a second each, from the tenth second on.
fn waves() -> Waves {
    let wave = |n: u64| Wave {
        begin_monotonic_ns: 1_000 + (10 + n) * SECOND,
        begin_ns: 1_001_000 + (10 + n) * SECOND,
        end_ns: 1_001_000 + (10 + n) * SECOND + SECOND / 2,
        requests: 5,
    };
    Waves((0..20).map(wave).collect())
}

fn driven(rules: &str, job: &Job, waves: &Waves) -> Outcome {
    let scenario = Scenario {
        name: "text".into(),
        requests: 100,
        waves: 20,
        warm_up_waves: 3,
        time_ns: 20 * SECOND,
    };
    let report = report(job);
    let driven = Some((&scenario, waves));
    let case = Case { job, report: &report, pids: &[], followed: true, driven };
    judge(&case, &rules.parse().unwrap(), false, Vec::new())
}

#[test]
fn growth_in_a_scenario_counts_from_its_warm_up_and_by_request() {
    // 500 MiB are there before it, 600 after its warm-up, and 17 waves gain 10 MiB each.
    let grown = (3..20).map(|n| (10 + n, 610 + (n - 3) * 10));
    let steps: Vec<_> = [(1, 500), (11, 600)].into_iter().chain(grown).collect();
    let job = run(vec![holding(7, End::Running, &steps)]);
    let outcome = |rules| driven(rules, &job, &waves());
    let [told] = &outcome("any").processes[..] else { panic!() };
    assert_eq!(told.growth_bytes, 170 * MIB);
    // 170 MiB in 85 requests.
    assert_eq!(outcome("growth:>200MiB/100req").verdict, Verdict::Pass);
    let failed = outcome("growth:>199MiB/100req,trend:>1MiB/req");
    let [growth, trend] = &failed.failures[..] else { panic!("{:?}", failed.rules) };
    let part =
        "by 170.0 MiB after the warm-up over 85 requests, which is 200.0 MiB in 100 requests: ";
    assert!(growth.text.contains(part), "{}", growth.text);
    assert!(trend.text.contains("2.0 MiB with a request"), "{}", trend.text);
    assert_eq!(outcome("trend:>3MiB/req").verdict, Verdict::Pass);
    let few = Waves(waves().0[..3].to_vec());
    let judged = driven("growth:>1GiB,trend:>1MiB/req", &job, &few);
    assert_eq!((judged.verdict, judged.undecided.len()), (Verdict::Undecided, 2));
}

/// A process that took blocks of so many KiB on one line, each half a second into a wave.
fn keeping(kib_by_wave: impl Iterator<Item = (u64, u64)>) -> Process {
    let mut process = holding(7, End::Running, &[(1, 500)]);
    let mut held = held();
    for (wave, kib) in kib_by_wave {
        let mut block = live(Class::Linear, 0x5000_0000 + wave * MIB, kib << 10, NCCL);
        block.entry.birth_us = (1_000 + (10 + wave) * SECOND + SECOND / 2) / 1000;
        held.push(block);
    }
    process.played.state = State::from_live(&held);
    process
}

#[test]
fn what_nearly_every_wave_leaves_behind_is_a_leak() {
    let waves = waves();
    let leak = |process: Process| {
        let mut job = run(vec![process]);
        job.waves = waves.0.iter().map(|wave| wave.begin_monotonic_ns).collect();
        driven("leak", &job, &waves)
    };
    let failed = leak(keeping((0..20).map(|wave| (wave, 64))));
    let [failure] = &failed.failures[..] else { panic!("{:?}", failed.rules) };
    let text = "serve (pid 7) keeps what is taken at job.py:7 step for a request: 14 of 14 waves left \
                something behind, 0.9 MiB in 14 blocks.";
    assert_eq!(failure.text, text);
    assert_eq!((failure.file.as_deref(), failure.line), (Some("job.py"), Some(7)));
    let finding = failure.finding.as_ref().unwrap();
    assert_eq!(finding.cause.as_deref(), Some("kept by waves of requests"));
    // Less is suspect; what fewer waves leave, or only the last ones, is nothing.
    let little = leak(keeping((0..20).map(|wave| (wave, 63))));
    assert_eq!((little.verdict, little.suspects.len()), (Verdict::Pass, 1));
    for few in [vec![4, 5, 6, 7, 8, 9, 10, 11, 12], vec![0, 1, 2, 17, 18, 19]] {
        let none = leak(keeping(few.into_iter().map(|wave| (wave, 1024))));
        assert_eq!((none.verdict, none.suspects.len()), (Verdict::Pass, 0));
    }
}

#[test]
fn too_few_waves_leave_leaks_unjudged_and_nothing_else() {
    let job = run(vec![holding(7, End::Running, &[(1, 500)])]);
    let few = Waves(waves().0[..15].to_vec());
    let outcome = driven("leak,creep,peak:>1GiB,growth:>1GiB", &job, &few);
    let verdicts: Vec<Verdict> = outcome.rules.iter().map(|rule| rule.verdict).collect();
    let (pass, undecided) = (Verdict::Pass, Verdict::Undecided);
    assert_eq!(verdicts, [undecided, pass, pass, pass]);
    assert_eq!(outcome.undecided, ["leak: of 16 waves that tell a leak 15 went well"]);
}

#[test]
fn what_nvml_said_before_the_first_wave_holds_until_it_says_something_else() {
    let mut job = run(vec![holding(7, End::Running, &[(1, 500)])]);
    job.readings = vec![reading(9, 700, 7, 600)];
    let course = |job: &Job| driven("any", job, &waves()).processes.remove(0);
    assert_eq!((course(&job).growth_bytes, course(&job).told().1), (0, "NVML"));
    assert_eq!(course(&job).wave_bytes, [600 * MIB; 20]);
    job.readings.push(reading(20, 710, 7, 610));
    assert_eq!(course(&job).growth_bytes, 10 * MIB);
    assert_eq!(course(&job).wave_bytes[9..11], [600 * MIB, 610 * MIB]);
    // What NVML was asked only after the warm-up it cannot say of the growth.
    job.readings.remove(0);
    assert_eq!(course(&job).nvml, None);
}

#[test]
fn what_was_taken_after_the_warm_up_names_its_line() {
    let mut process = keeping((5..9).map(|wave| (wave, 1024)));
    process.gauges[0].reserved_peak = 900 * MIB;
    process.played.reserved = holding(7, End::Running, &[(1, 500), (16, 900)]).played.reserved;
    let job = run(vec![process]);
    let failed = driven("growth:>100MiB,peak:>600MiB", &job, &waves());
    for failure in &failed.failures {
        assert_eq!((failure.file.as_deref(), failure.line), (Some("job.py"), Some(7)));
        assert!(failure.text.contains("job.py:7 step"), "{}", failure.text);
    }
    assert_eq!(failed.failures.len(), 2);
    assert!(failed.failures[1].text.contains("Process 7 took most of it"));
}

#[test]
fn growth_points_to_what_is_kept_or_else_to_what_the_driver_was_asked_for() {
    let line = |kept: u64| {
        let mut process = holding(7, End::Running, &[(1, 500), (16, 900)]);
        let mut segment = live(Class::Linear, 0x5000_0000, 400 * MIB, TORCH);
        segment.entry.python = 0;
        let mut held = vec![segment, live(Class::Block, 0x5000_0000, kept * MIB, 0)];
        for one in &mut held {
            one.entry.birth_us = 17 * SECOND / 1000;
        }
        process.played.state = State::from_live(&held);
        driven("any", &run(vec![process]), &waves()).processes.remove(0).grown_at
    };
    assert_eq!(line(200).unwrap().text, "job.py:7 step");
    // The segment was taken without a Python stack.
    assert_eq!(line(199), None);
}

#[test]
fn the_text_is_calm_lines_up_and_tells_every_number() {
    let steps = [(1, 500), (11, 600), (15, 640)];
    let job = run(vec![holding(7, End::Running, &steps)]);
    let text = text::render(&driven("any,growth:>100MB/100req,peak:>70GiB", &job, &waves()));
    let expected = "\
All 3 rules hold. text: 100 requests in 20 waves, 3 of them warm-up, in 20 s.
passed:     any: nothing found
passed:     growth:>100MB/100req: at most 47.1 MiB of a process in 100 requests
passed:     peak:>70GiB: at most 640.0 MiB on a GPU

after the warm-up                at its end    at most    at last     growth         by
serve, pid 7                      600.0 MiB  640.0 MiB  640.0 MiB   40.0 MiB     ledger

GPU  GPU-00010203-0405-0607-0809-0a0b0c0d0e0f  at most 640.0 MiB of 1.0 GiB in use
";
    assert_eq!(text, expected);
    let (job, report) = found(&[("creep", Confidence::Alert, 100)]);
    let failed = text::render(&held_against("creep,any:>1GiB", &job, &report));
    assert!(failed.starts_with("1 of 2 rules fails.\nFAILED:     creep: serve (pid 7) has a "));
    assert!(failed.lines().all(|line| line.chars().count() <= WIDTH), "{failed}");
}

#[test]
fn the_machines_forms_tell_the_same() {
    let (job, report) = found(&[("creep", Confidence::Alert, 100)]);
    let outcome = held_against("creep,peak:>1GiB", &job, &report);
    let told = github::annotations(&outcome, "");
    assert!(told.starts_with("::error file=job.py,line=7,title=memtrace creep::serve (pid 7) has"));
    assert_eq!(told.lines().count(), 1);
    let xml = junit::render(&outcome);
    assert!(
        xml.contains("<testsuite name=\"memtrace check\" tests=\"2\" failures=\"1\" errors=\"0\">")
    );
    assert!(xml.contains("at job.py:7\nserve (pid 7) has a creep"), "{xml}");
    assert!(
        xml.contains("name=\"peak:&gt;1GiB\">\n<system-out>at most 50.0 MiB on a GPU<"),
        "{xml}"
    );
    let json: Outcome = serde_json::from_str(&serde_json::to_string(&outcome).unwrap()).unwrap();
    assert_eq!(json, outcome);
}

#[test]
fn every_verdict_has_its_section_and_every_section_its_verdict() {
    let page = include_str!("../../docs/findings.md");
    let headings = page.lines().filter_map(|line| line.strip_prefix("## "));
    let named = headings.filter(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '-'));
    let mut named: Vec<&str> = named.collect();
    let mut known = VERDICTS.to_vec();
    named.sort_unstable();
    known.sort_unstable();
    assert_eq!(named, known);
}

/// Fields by table, as the page lists them.
fn tables() -> BTreeMap<&'static str, Vec<&'static str>> {
    let page = include_str!("../../docs/check.md");
    let sections = page.split("### ").skip(1).map(|section| {
        let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
        let rows = rows.map(|row| row.split_once('`').unwrap().0).collect();
        (section.lines().next().unwrap(), rows)
    });
    sections.collect()
}

#[test]
fn the_page_lists_every_field_in_its_order() {
    let (job, report) = found(&[("creep", Confidence::Alert, 100)]);
    let outcome = serde_json::to_value(held_against("creep", &job, &report)).unwrap();
    let tables = tables();
    let fields = |of: &serde_json::Value| -> Vec<String> {
        of.as_object().unwrap().keys().cloned().collect()
    };
    assert_eq!(fields(&outcome), tables["Outcome"]);
    let job = run(vec![holding(7, End::Running, &[(1, 500)])]);
    let driven = serde_json::to_value(driven("creep", &job, &waves())).unwrap();
    assert_eq!(fields(&driven["scenario"]), tables["Scenario"]);
    for (list, table) in [
        ("rules", "Ruling"),
        ("failures", "Failure"),
        ("processes", "ProcessCourse"),
        ("gpus", "GpuPeak"),
    ] {
        assert_eq!(fields(&outcome[list][0]), tables[table], "{table}");
    }
}

#[test]
fn the_page_lists_the_presets() {
    let page = include_str!("../../docs/check.md");
    for preset in PRESETS {
        let row = format!("| `{}` | `{}` |", preset.name, preset.rules);
        assert!(page.contains(&row), "{row}");
    }
}
