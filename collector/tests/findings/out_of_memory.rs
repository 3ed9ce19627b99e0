//! Out of memory, explained.

use super::{
    creep::{creeping, crept},
    *,
};

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
