//! The report about jobs made by hand.

use std::collections::BTreeMap;

use collector::{
    detect::creep::Creep,
    ledger::{End, Event, Live, Module},
    present::{
        build::{Detail, build},
        report::{Confidence, Finding, Frame},
    },
    process::{Played, Process},
    state::{Site, State},
};
use wire::{
    header::Counter,
    record::{Class, FLAG_PRIVATE, Record, Verb},
    trie::{FrameKind, Node},
};

mod made;
use made::*;

#[test]
fn what_each_owner_holds_adds_up() {
    let report = build(&job(vec![process(7, End::Running)]), Detail::default());
    let device = &report.processes[0].devices[0];
    assert_eq!(device.reserved_bytes, 50 * MIB);
    assert_eq!(device.by_kind.linear, 50 * MIB);
    let owners: Vec<_> = device.owners.iter().map(|o| (o.name.as_str(), o.bytes)).collect();
    assert_eq!(owners, [("torch", 40 * MIB), ("libnccl.so.2", 10 * MIB)]);
    let [torch] = device.allocators.as_slice() else { panic!("{:?}", device.allocators) };
    assert_eq!(
        (torch.reserved_bytes, torch.allocated_bytes, torch.stranded_bytes, torch.releasable_bytes),
        (40 * MIB, Some(4 * MIB), 16 * MIB, 20 * MIB)
    );
    assert_eq!((torch.peak_reserved_bytes, torch.peak_allocated_bytes), (50 * MIB, Some(30 * MIB)));
    assert_eq!(device.segments, None);
}

/// The process of [`made`] whose empty segment was taken for a graph, and holds a block by now.
fn with_a_graph_pool() -> Process {
    let mut held = held();
    held[2].entry.flags = FLAG_PRIVATE;
    held.push(live(Class::Block, 0x2000_0000 + MIB, 3 * MIB, 0));
    Process {
        played: Played { state: State::from_live(&held), ..Played::default() },
        ..process(7, End::Running)
    }
}

#[test]
fn memory_that_was_taken_for_a_graph_is_told_apart_free_or_live() {
    let report = build(&job(vec![with_a_graph_pool()]), Detail::default());
    let device = &report.processes[0].devices[0];
    let pools = &device.allocators[0].graph_pools;
    assert_eq!((pools.reserved_bytes, pools.allocated_bytes), (20 * MIB, 3 * MIB));
    let [site] = pools.sites.as_slice() else { panic!("{:?}", pools.sites) };
    assert_eq!((site.bytes, site.extents), (20 * MIB, 1));
    assert!(report.sites.contains_key(&site.site));
    // Both blocks were asked for at one line; NCCL's memory is no block.
    let in_pools: Vec<_> =
        device.sites.iter().map(|used| (used.live_bytes, used.graph_pool_bytes)).collect();
    assert_eq!(in_pools, [(10 * MIB, Some(0)), (7 * MIB, Some(3 * MIB))]);
    assert!(device.peak.sites.iter().flatten().all(|used| used.graph_pool_bytes.is_none()));
}

#[test]
fn a_block_whose_memory_is_gone_is_listed_as_unbacked() {
    let mut held = held();
    held.push(live(Class::Block, 0x9000_0000, 3 * MIB, 0));
    let process = Process {
        played: Played { state: State::from_live(&held), ..Played::default() },
        ..process(7, End::Running)
    };
    let report = build(&job(vec![process]), Detail { segments: true, names: true });
    let device = &report.processes[0].devices[0];
    let [block] = device.unbacked_blocks.as_deref().unwrap() else { panic!("{device:?}") };
    assert_eq!((block.address.as_str(), block.size), ("0x90000000", 3 * MIB));
    assert_eq!(device.allocators[0].unbacked_bytes, 3 * MIB);
    let unbacked: Vec<_> =
        device.sites.iter().filter(|used| used.unbacked_bytes != Some(0)).collect();
    let [used] = unbacked.as_slice() else { panic!("{unbacked:?}") };
    assert_eq!((used.unbacked_bytes, &used.site), (Some(3 * MIB), &block.site));
}

#[test]
fn every_site_that_is_named_is_there_with_its_line() {
    let report =
        build(&job(vec![process(7, End::Running)]), Detail { segments: true, names: true });
    let device = &report.processes[0].devices[0];
    let segments = device.segments.as_ref().unwrap();
    assert_eq!(segments.len(), 3);
    assert_eq!(segments[0].address, "0x10000000");
    let block = &segments[0].blocks[0];
    assert_eq!(
        (block.address.as_str(), block.size, block.time_ns),
        ("0x10000000", 4 * MIB, 1_002_000)
    );
    let site = &report.sites[&block.site];
    assert_eq!(site.line.as_deref(), Some("job.py:7 step"));
    assert!(matches!(&site.frames[..], [Frame::Python { line: Some(7), .. }]));
    for named in segments.iter().map(|s| &s.site).chain(device.sites.iter().map(|s| &s.site)) {
        assert!(report.sites.contains_key(named));
    }
}

#[test]
fn equal_stacks_of_two_processes_are_one_site() {
    let both = build(
        &job(vec![process(7, End::Running), process(8, End::Running)]),
        Detail { segments: true, names: true },
    );
    let one = build(&job(vec![process(7, End::Running)]), Detail { segments: true, names: true });
    assert_eq!(both.sites, one.sites);
    assert_eq!(both.processes[0].devices[0].sites, both.processes[1].devices[0].sites);
}

#[test]
fn native_functions_are_named_where_all_are_asked_for_or_the_text_shows_them() {
    // A stack through this test program, whose file can be read.
    let path = std::env::current_exe().unwrap();
    let inode = std::os::unix::fs::MetadataExt::ino(&path.metadata().unwrap());
    let (start, offset) = code_of_this_program(path.to_str().unwrap());
    let here =
        native_functions_are_named_where_all_are_asked_for_or_the_text_shows_them as *const ();
    let mut process = process(7, End::Running);
    process.tables.modules =
        vec![Module { start, end: u64::MAX, offset, path: path.to_str().unwrap().into(), inode }];
    let frame = Node { parent: 0, kind: FrameKind::Native, frame: here as u64 + 1 };
    process.tables.nodes.insert(NCCL, frame);
    let job = job(vec![process]);
    let named = |detail| {
        let report = build(&job, detail);
        let frames = report.sites.into_values().flat_map(|site| site.frames);
        frames
            .filter(|f| matches!(f, Frame::Native { function: Some(name), .. } if name.contains("native_functions")))
            .count()
    };
    // With its Python stack the site has a line; the text does not need the function.
    assert_eq!(named(Detail { segments: true, names: false }), 0);
    assert_eq!(named(Detail { segments: true, names: true }), 1);
}

/// Where the code of this program is mapped, and which part of the file that is.
fn code_of_this_program(path: &str) -> (u64, u64) {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let code = maps.lines().find(|line| line.ends_with(path) && line.contains(" r-xp ")).unwrap();
    let words: Vec<&str> = code.split_whitespace().collect();
    let hex = |text| u64::from_str_radix(text, 16).unwrap();
    (hex(words[0].split_once('-').unwrap().0), hex(words[2]))
}

#[test]
fn what_found_no_room_in_the_live_table_is_in_the_sum_all_the_same() {
    let mut process = process(7, End::Running);
    process.health.counters = vec![0; 14];
    process.health.counters[Counter::LiveOverflow as usize] = 3;
    process.health.counters[Counter::UnlistedBytes as usize] = 5 * MIB;
    process.gauges[0].reserved = 55 * MIB;
    let report = build(&job(vec![process]), Detail::default());
    let process = &report.processes[0];
    assert_eq!((process.events.live_overflow, process.events.unlisted_bytes), (3, 5 * MIB));
    assert_eq!(process.devices[0].reserved_bytes, 55 * MIB);
    assert_eq!(report.gpus[0].processes[0].reserved_bytes, 55 * MIB);
}

#[test]
fn what_was_live_at_a_peak_nobody_saw_is_null() {
    let mut job = job(vec![process(7, End::Running)]);
    job.processes[0].played.known_since = 5_001;
    let report = build(&job, Detail::default());
    let peak = &report.processes[0].devices[0].peak;
    assert_eq!((peak.time_ns, &peak.sites), (1_005_000, &None));
}

#[test]
fn out_of_memory_says_what_was_free() {
    let mut job = job(vec![process(7, End::Running)]);
    let record = Record {
        time: 3_000,
        address: 4 * MIB,
        size: 900 * MIB,
        aux: 40 * MIB,
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
    job.processes[0].played.ooms = vec![event];
    let report = build(&job, Detail::default());
    let [oom] = report.processes[0].devices[0].ooms.as_slice() else { panic!() };
    assert_eq!(
        (
            oom.time_ns,
            oom.requested_bytes,
            oom.allocated_bytes,
            oom.reserved_bytes,
            oom.device_free_bytes
        ),
        (1_003_000, 900 * MIB, 4 * MIB, 40 * MIB, 70 * MIB)
    );
    assert_eq!(report.sites[&oom.site].line.as_deref(), Some("job.py:7 step"));
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
    for part in ["450.0 MiB in 9 jumps", "20.0 MiB (4 %", "job.py:7 step"] {
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
    assert!(advice(pinned).contains("expandable_segments:True"));
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
