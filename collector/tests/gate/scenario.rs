//! A server that the gate drives in waves of requests.

use super::*;

/// Twenty waves of five requests, a second each, from the tenth second on.
pub fn waves() -> Waves {
    let wave = |n: u64| Wave {
        begin_monotonic_ns: 1_000 + (10 + n) * SECOND,
        begin_ns: 1_001_000 + (10 + n) * SECOND,
        end_ns: 1_001_000 + (10 + n) * SECOND + SECOND / 2,
        requests: 5,
    };
    Waves((0..20).map(wave).collect())
}

pub fn driven(rules: &str, job: &Job, waves: &Waves) -> Outcome {
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
