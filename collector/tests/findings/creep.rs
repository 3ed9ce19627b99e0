//! Creep.

use super::*;

/// A detector that saw `requests` requests of 100 MiB and then of 50 MiB more each.
pub fn crept(requests: u64, then_steady: u64) -> Creep {
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

pub fn creeping(pid: u32, role: &str, end: End, creep: Creep) -> Process {
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
