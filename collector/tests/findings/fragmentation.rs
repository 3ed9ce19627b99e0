//! Fragmentation.

use super::{
    creep::{creeping, crept},
    *,
};

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
