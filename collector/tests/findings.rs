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

mod made;
use made::*;

const GIB: u64 = 1 << 30;

/// A process that could not be given `mib` with 70 MiB free on its device of 1 GiB.
fn out_of_memory(pid: u32, mib: u64, end: End) -> Process {
    let record = Record {
        time: 3_000,
        address: 4 * MIB,
        size: mib * MIB,
        aux: 20 * MIB,
        verb: Verb::OutOfMemory,
        class: Class::Block,
        api: 0,
        device: 0,
        result: 0,
        tid: 0,
        flags: 0,
        native: 0,
        python: PYTHON,
    };
    let event = Event { position: 0, record, extra: Some([70 * MIB, 0, 0]) };
    let mut process = process(pid, end);
    process.played.oom_moments.gave_up(&process.played.state, &event);
    process.played.ooms = vec![event];
    process
}

fn report(processes: Vec<Process>) -> Report {
    build(&job(processes), Detail::default())
}

fn value(finding: &Finding, what: &str) -> u64 {
    finding.evidence.iter().find(|number| number.what == what).expect(what).value
}

#[test]
fn out_of_memory_says_what_was_free() {
    let report = report(vec![out_of_memory(7, 900, End::Running)]);
    let [oom] = report.processes[0].devices[0].ooms.as_slice() else { panic!() };
    assert_eq!(
        (
            oom.time_ns,
            oom.requested_bytes,
            oom.allocated_bytes,
            oom.reserved_bytes,
            oom.device_free_bytes
        ),
        (1_003_000, 900 * MIB, 4 * MIB, 20 * MIB, 70 * MIB)
    );
    assert_eq!(report.sites[&oom.site].line.as_deref(), Some("job.py:7 step"));
    let [finding] = report.findings.as_slice() else { panic!("{:?}", report.findings) };
    assert_eq!(
        (finding.verdict.as_str(), finding.cause.as_deref()),
        ("out-of-memory", Some("lack"))
    );
    assert_eq!((finding.bytes, finding.since_ns, &finding.site), (900 * MIB, 1_003_000, &oom.site));
    let start = "serve (pid 7) ran out of memory on device 0 at 00:00:00: 900.0 MiB asked for at \
                 job.py:7 step with 70.0 MiB free on the device; 20.0 MiB reserved, 4.0 MiB of it \
                 allocated. What lay free inside its segments, 16.0 MiB, was too little beside that.";
    assert!(finding.text.starts_with(start), "{}", finding.text);
    // Of the device 954 MiB were in use, of them 50 MiB this process's.
    assert!(
        finding.text.ends_with(" 904.0 MiB of the device were contexts and what no call took.")
    );
}

#[test]
fn a_request_that_the_free_pieces_would_have_made_up_for_names_the_pin() {
    let report = report(vec![out_of_memory(7, 80, End::Running)]);
    let finding = &report.findings[0];
    assert_eq!(finding.cause.as_deref(), Some("fragmentation"));
    let numbers = ["stranded", "releasable", "largest free piece", "unusable share"];
    assert_eq!(numbers.map(|what| value(finding, what)), [16 * MIB, 0, 16 * MIB, 100]);
    let [pin] = finding.pins.as_slice() else { panic!("{:?}", finding.pins) };
    assert_eq!((pin.blocks, pin.bytes, pin.stranded_bytes), (1, 4 * MIB, 16 * MIB));
    assert!(report.sites.contains_key(&pin.site));
    assert!(
        finding.text.contains("the largest piece, 16.0 MiB, was 64.0 MiB too small."),
        "{}",
        finding.text
    );
    let pinned = " 1 block of 4.0 MiB from job.py:7 step keeps 16.0 MiB of it.";
    assert!(finding.text.contains(pinned), "{}", finding.text);
    assert!(finding.advice.contains("expandable_segments:True in serve (pid 7)"));
}

#[test]
fn where_the_map_is_not_the_allocator_s_nothing_is_said_of_it() {
    let mut process = out_of_memory(7, 80, End::Running);
    process.played.oom_moments = Moments::default();
    let report = report(vec![process]);
    let finding = &report.findings[0];
    assert_eq!((finding.cause.as_deref(), finding.pins.len()), (Some("lack"), 0));
    assert!(finding.text.contains("How the 16.0 MiB that were in no block lay is not known."));
    assert!(!finding.text.contains("contexts"), "{}", finding.text);
}

/// A scheduler with `held` on the same GPU, from before anybody ran out of memory.
fn neighbour(held: u64) -> Process {
    let mut steps = Steps::default();
    steps.push(1_500, held);
    let mut process = process(8, End::Running);
    process.role = Some("scheduler".into());
    process.played.reserved = BTreeMap::from([(0, steps)]);
    process
}

#[test]
fn others_on_the_card_are_named_and_are_the_reason_where_they_hold_enough() {
    let told = |held| {
        let mut job = job(vec![out_of_memory(7, 900, End::Running), neighbour(held)]);
        let processes = vec![(7, None), (99, Some(30 * MIB))];
        let gpu = nvml::Gpu { uuid: GPU, name: String::new(), total: GIB, used: GIB, processes };
        job.readings = vec![nvml::Reading { time: 1_003_000, gpus: vec![gpu] }];
        build(&job, Detail::default()).findings.remove(0)
    };
    let finding = told(800 * MIB);
    assert_eq!(finding.cause.as_deref(), Some("other processes"));
    assert_eq!(value(&finding, "held by other processes"), 830 * MIB);
    let also = "Without the 830.0 MiB of other processes it would have been served. Also on the \
                device then: scheduler (pid 8) 800.0 MiB, pid 99, not traced here, 30.0 MiB by NVML. \
                74.0 MiB of the device were contexts and what no call took.";
    assert!(finding.text.contains(also), "{}", finding.text);
    assert_eq!(told(799 * MIB).cause.as_deref(), Some("lack"));
}

#[test]
fn ranks_that_ran_out_at_one_line_for_one_reason_are_one_finding_and_it_comes_first() {
    let processes = vec![
        out_of_memory(7, 900, End::Killed(9)),
        out_of_memory(8, 901, End::Killed(9)),
        creeping(9, "tokenizer", End::Running, crept(60, 0)),
    ];
    let report = report(processes);
    let [finding, creep] = report.findings.as_slice() else { panic!("{:?}", report.findings) };
    assert_eq!(
        finding.instances.iter().map(|i| (i.pid, i.bytes / MIB)).collect::<Vec<_>>(),
        [(8, 901), (7, 900)]
    );
    assert!(finding.text.starts_with(
        "2 processes ran out of memory at the same line (serve (pid 8), serve (pid 7)): "
    ));
    assert_eq!(creep.verdict, "creep");
    assert!(creep.bytes > finding.bytes);
}

/// A detector that saw `requests` requests of 100 MiB and then of 50 MiB more each.
fn crept(requests: u64, then_steady: u64) -> Creep {
    let mut creep = Creep::default();
    let (mut time, mut reserved) = (0, 0);
    let site = Site { native: TORCH, python: PYTHON };
    for request in 0..requests + then_steady {
        let peak = (100 + 50 * request.min(requests)) * MIB;
        let grown = peak.saturating_sub(reserved);
        reserved = reserved.max(peak);
        creep.push(time, peak, reserved, [(site, grown)].into_iter().filter(|(_, g)| *g > 0));
        creep.push(time + 1, 4 * MIB, reserved, std::iter::empty());
        time += 2;
    }
    creep.push(time, 100 * MIB, reserved, std::iter::empty());
    creep
}

fn creeping(pid: u32, role: &str, end: End, creep: Creep) -> Process {
    let mut process = process(pid, end);
    process.role = Some(role.into());
    process.played.creeps = BTreeMap::from([(0, creep)]);
    process
}

#[test]
fn a_creep_names_process_bytes_share_line_and_what_to_do() {
    let report =
        build(&job(vec![creeping(7, "tokenizer", End::Running, crept(10, 0))]), Detail::default());
    let [Finding { confidence, bytes, site, text, advice, releasable_bytes, .. }] =
        report.findings.as_slice()
    else {
        panic!("{:?}", report.findings)
    };
    assert_eq!((*confidence, *bytes, *releasable_bytes), (Confidence::Alert, 450 * MIB, 20 * MIB));
    assert!(text.starts_with("tokenizer (pid 7) creeps on device 0: "), "{text}");
    for part in ["450.0 MiB in 9 jumps", "20.0 MiB (50 %", "job.py:7 step"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(advice.contains("empty_cache() in tokenizer (pid 7)"), "{advice}");
    assert_eq!(report.sites[site].line.as_deref(), Some("job.py:7 step"));
}

#[test]
fn what_was_in_use_between_requests_does_not_count_as_releasable() {
    let mut process = creeping(7, "tokenizer", End::Exited(Some(0)), crept(10, 0));
    // At its end it had given back gigabytes of weights.
    let mut held = held();
    held.push(live(Class::Linear, 0x4000_0000, 2048 * MIB, TORCH));
    process.played.state = State::from_live(&held);
    let report = build(&job(vec![process]), Detail::default());
    // Reserved 550 MiB at the last trough, of which 4 MiB were in use.
    assert_eq!(report.findings[0].releasable_bytes, 546 * MIB);
}

#[test]
fn where_most_is_stranded_the_advice_goes_on() {
    let advice = |held: Vec<Live>| {
        let mut process = creeping(7, "tokenizer", End::Running, crept(10, 0));
        process.played.state = State::from_live(&held);
        build(&job(vec![process]), Detail::default()).findings.remove(0).advice
    };
    assert!(!advice(held()).contains("expandable_segments"));
    let mut pinned = held();
    pinned.push(live(Class::Block, 0x2000_0000, MIB, 0));
    let pinned = advice(pinned);
    assert!(pinned.contains("expandable_segments:True in tokenizer (pid 7)"), "{pinned}");
    assert!(!pinned.contains("empty_cache()"), "it gives nothing of that back: {pinned}");
}

#[test]
fn what_helps_already_or_gives_nothing_back_is_not_advised() {
    let advice = |held: Vec<Live>, requests, then_steady| {
        let mut process = creeping(7, "tokenizer", End::Running, crept(requests, then_steady));
        process.played.state = State::from_live(&held);
        report(vec![process]).findings.remove(0).advice
    };
    assert!(advice(held(), 30, 60).contains("empty_cache() gives the memory back"));
    let mut pinned = held();
    pinned.push(live(Class::Block, 0x2000_0000, MIB, 0));
    assert_eq!(advice(pinned, 30, 60), "nothing while it stays so");
    // Two handles side by side in one reservation, a block in each.
    let mut expandable = vec![live(Class::Reservation, 0x1000_0000, 64 * MIB, 0)];
    for (handle, at) in [(1, 0x1000_0000), (2, 0x1140_0000)] {
        expandable.push(live(Class::Handle, handle, 20 * MIB, TORCH));
        expandable.push(live(Class::Mapping, at, 20 * MIB, handle as u32));
        expandable.push(live(Class::Block, at, 4 * MIB, 0));
    }
    let advice = advice(expandable, 10, 0);
    assert!(!advice.contains("expandable_segments"), "{advice}");
    assert!(advice.starts_with("in tokenizer (pid 7): take what that line keeps"), "{advice}");
}

#[test]
fn one_line_that_creeps_in_several_processes_is_one_finding() {
    let processes = vec![
        creeping(7, "rank 0", End::Killed(9), crept(10, 0)),
        creeping(8, "rank 1", End::Killed(9), crept(12, 0)),
    ];
    let report = build(&job(processes), Detail::default());
    let [finding] = report.findings.as_slice() else { panic!("{:?}", report.findings) };
    assert_eq!(finding.instances.iter().map(|i| i.bytes / MIB).collect::<Vec<_>>(), [550, 450]);
    assert_eq!(finding.bytes, 1000 * MIB);
    assert!(finding.text.starts_with("2 processes crept at the same line: "), "{}", finding.text);
    assert!(finding.text.contains("rank 1 (pid 8), rank 0 (pid 7)"), "{}", finding.text);
}

#[test]
fn a_creep_that_stopped_is_information_and_comes_last() {
    let processes = vec![
        creeping(7, "stopped", End::Running, crept(30, 60)),
        creeping(8, "creeping", End::Running, crept(10, 0)),
    ];
    let report = build(&job(processes), Detail::default());
    let found: Vec<_> = report.findings.iter().map(|f| f.confidence).collect();
    assert_eq!(found, [Confidence::Alert, Confidence::Info]);
    assert!(report.findings[1].text.contains("crept and has stopped"));
}

#[test]
fn a_creep_says_its_cause_its_numbers_and_their_limits() {
    let report = report(vec![creeping(7, "tokenizer", End::Running, crept(10, 0))]);
    let finding = &report.findings[0];
    assert_eq!(finding.cause.as_deref(), Some("releasable cache"));
    let gained = &finding.evidence[0];
    assert_eq!(
        (gained.what.as_str(), gained.value, gained.limit, gained.unit.as_str()),
        ("reserved gained", 450 * MIB, Some(64 * MIB), "bytes")
    );
    assert_eq!(value(finding, "jumps of reserved"), 9);
    assert_eq!(finding.rate, None, "the ten requests took 20 ns");
    assert!(finding.pins.is_empty());
}

#[test]
fn a_creep_by_stranding_names_the_pin_and_one_by_graph_pools_says_so() {
    let finding = |change: fn(&mut Vec<Live>)| {
        let mut process = creeping(7, "tokenizer", End::Running, crept(10, 0));
        let mut held = held();
        change(&mut held);
        process.played.state = State::from_live(&held);
        report(vec![process]).findings.remove(0)
    };
    let stranded = finding(|held| held.push(live(Class::Block, 0x2000_0000, MIB, 0)));
    assert_eq!(stranded.cause.as_deref(), Some("stranding"));
    assert!(stranded.text.contains(", 35.0 MiB stranded beside live blocks."), "{}", stranded.text);
    assert!(
        stranded.text.ends_with(" 2 blocks of 5.0 MiB from job.py:7 step keep 35.0 MiB of it."),
        "{}",
        stranded.text
    );
    assert_eq!(stranded.pins[0].stranded_bytes, 35 * MIB);
    let private = finding(|held| held[2].entry.flags = FLAG_PRIVATE);
    assert_eq!(private.cause.as_deref(), Some("private pool"));
    assert!(private.text.contains(", 20.0 MiB free in graphs' pools."), "{}", private.text);
}

#[test]
fn a_creep_of_minutes_has_a_rate() {
    let mut creep = Creep::default();
    for request in 0..20_u64 {
        let (time, peak) = (request * 60_000_000_000, (100 + 50 * request) * MIB);
        creep.push(time, peak, peak, std::iter::empty());
        creep.push(time + 1, 4 * MIB, peak, std::iter::empty());
    }
    creep.push(u64::MAX, 100 * MIB, 1050 * MIB, std::iter::empty());
    let report = report(vec![creeping(7, "tokenizer", End::Running, creep)]);
    let rate = report.findings[0].rate.unwrap();
    assert_eq!((rate.bytes_per_hour, rate.low, rate.high), (3000 * MIB, 3000 * MIB, 3000 * MIB));
}

/// A process with eight segments of 500 MiB, 2 MiB live in each, whose requests of `peak` MiB came
/// and went; it has 2 MiB live in each since `birth_us`.
fn fragmented(pid: u32, peak: u64, birth_us: u64) -> Process {
    let mut held = Vec::new();
    for n in 0..8 {
        held.push(live(Class::Linear, n * GIB + GIB, 500 * MIB, TORCH));
        let mut block = live(Class::Block, n * GIB + GIB, 2 * MIB, 0);
        block.entry.birth_us = birth_us;
        held.push(block);
    }
    let mut creep = Creep::default();
    for request in 0..6 {
        let time = 10_000 + 1000 * request;
        creep.push(time, peak * MIB, 4000 * MIB, std::iter::empty());
        creep.push(time + 500, 16 * MIB, 4000 * MIB, std::iter::empty());
    }
    creep.push(20_000, peak * MIB, 4000 * MIB, std::iter::empty());
    let mut process = creeping(pid, "trainer", End::Running, creep);
    process.played.state = State::from_live(&held);
    process.gauges[0].total = 16 * GIB;
    process
}

#[test]
fn memory_stranded_for_good_is_fragmentation_with_its_pin() {
    let report = report(vec![fragmented(7, 600, 2)]);
    let [finding] = report.findings.as_slice() else { panic!("{:?}", report.findings) };
    assert_eq!(
        (finding.verdict.as_str(), finding.confidence),
        ("fragmentation", Confidence::Alert)
    );
    assert_eq!(finding.bytes, 8 * 498 * MIB);
    assert_eq!(value(finding, "in no block when most was"), 3400 * MIB);
    assert_eq!(value(finding, "idle share of reserved"), 100);
    let [pin] = finding.pins.as_slice() else { panic!("{:?}", finding.pins) };
    assert_eq!((pin.blocks, pin.bytes, pin.stranded_bytes), (8, 16 * MIB, 8 * 498 * MIB));
    assert_eq!((&finding.site, finding.since_ns), (&pin.site, 1_002_000));
    assert!(finding.text.ends_with("8 blocks of 16.0 MiB from job.py:7 step keep 3.9 GiB of it."));
}

#[test]
fn a_step_that_uses_it_or_is_under_way_is_no_fragmentation() {
    assert_eq!(report(vec![fragmented(7, 3900, 2)]).findings, []);
    assert_eq!(report(vec![fragmented(7, 600, 17)]).findings, []);
}

#[test]
fn a_creep_that_strands_memory_is_not_told_twice() {
    let mut process = fragmented(7, 600, 0);
    process.played.creeps = BTreeMap::from([(0, crept(10, 0))]);
    let verdicts: Vec<String> =
        report(vec![process]).findings.into_iter().map(|finding| finding.verdict).collect();
    assert_eq!(verdicts, ["creep"]);
}

#[test]
fn one_line_that_fragments_several_ranks_is_one_finding() {
    let report = report(vec![fragmented(7, 600, 2), fragmented(8, 600, 2)]);
    let [finding] = report.findings.as_slice() else { panic!("{:?}", report.findings) };
    assert_eq!((finding.instances.len(), finding.bytes), (2, 16 * 498 * MIB));
    assert!(finding.text.contains("(trainer (pid 7), trainer (pid 8))"), "{}", finding.text);
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
