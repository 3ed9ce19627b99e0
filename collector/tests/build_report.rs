//! The report about jobs made by hand.

use std::collections::BTreeMap;

use collector::{
    detect::creep::Creep,
    ledger::{Code, End, Event, Gauges, Health, Identity, Instance, Live, Module, Tables},
    nvml::{Gpu, Reading},
    present::{
        build::{Detail, build},
        report::{Confidence, Finding, Frame, ProcessState},
    },
    process::{Job, Losses, Played, Process},
    state::{Site, State},
};
use wire::{
    header::Counter,
    live::Entry,
    record::{Class, Record, Verb},
    trie::{FrameKind, Node},
};

const MIB: u64 = 1 << 20;
const GPU: [u64; 2] = [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908];
/// The stacks of [`tables`].
const TORCH: u32 = 1;
const NCCL: u32 = 2;
const PYTHON: u32 = 3;

/// A stack through PyTorch's allocator, one through NCCL, and a Python stack on line 7 of `job.py`.
fn tables() -> Tables {
    let node = |kind, frame| Node { parent: 0, kind, frame };
    let module = |start: u64, path: &str| Module {
        start,
        end: start + 0x1000,
        offset: 0,
        path: path.into(),
        inode: 0,
    };
    Tables {
        nodes: BTreeMap::from([
            (TORCH, node(FrameKind::Native, 0x1010)),
            (NCCL, node(FrameKind::Native, 0x2010)),
            (PYTHON, node(FrameKind::Python, 5 << 32)),
        ]),
        codes: BTreeMap::from([(
            5,
            Code {
                name: "step".into(),
                file: "job.py".into(),
                lines: vec![0x80 | 13 << 3, 0],
                first_line: 7,
                python: 3 << 8 | 11,
            },
        )]),
        modules: vec![module(0x1000, "/lib/libc10_cuda.so"), module(0x2000, "/lib/libnccl.so.2")],
        apis: Vec::new(),
    }
}

fn live(class: Class, address: u64, size: u64, native: u32) -> Live {
    let entry = Entry {
        address,
        class,
        device: 0,
        flags: 0,
        size,
        native,
        python: PYTHON,
        birth_us: 2,
        link: 0,
    };
    Live { index: address as u32, freeing: false, entry }
}

/// 20 MiB of PyTorch's with a block of 4 MiB in it, 20 MiB of PyTorch's with none, and 10 MiB of
/// NCCL's.
fn held() -> Vec<Live> {
    vec![
        live(Class::Linear, 0x1000_0000, 20 * MIB, TORCH),
        live(Class::Block, 0x1000_0000, 4 * MIB, 0),
        live(Class::Linear, 0x2000_0000, 20 * MIB, TORCH),
        live(Class::Linear, 0x3000_0000, 10 * MIB, NCCL),
    ]
}

fn process(pid: u32, end: End) -> Process {
    let gauges = Gauges {
        uuid: GPU,
        total: 1 << 30,
        reserved_peak: 60 * MIB,
        allocated_peak: 30 * MIB,
        allocated_peak_time: 5_000,
        torch_reserved_peak: 50 * MIB,
        ..Gauges::default()
    };
    Process {
        pid,
        identity: Identity {
            instance: Instance([0, pid.into()]),
            pid,
            pid_namespace: 0,
            start_ticks: 0,
            started_monotonic: 1_000,
            started_realtime: 1_001_000,
            command: Vec::new(),
            executable: "/usr/bin/serve".into(),
            environment: BTreeMap::new(),
            driver_version: 0,
        },
        health: Health::default(),
        gauges: vec![gauges],
        end,
        role: None,
        command: "serve".into(),
        tables: tables(),
        played: Played { state: State::from_live(&held()), ..Played::default() },
        in_flight: 0,
        losses: Losses::default(),
        warnings: Vec::new(),
    }
}

fn job(processes: Vec<Process>) -> Job {
    Job { as_of: 9_000_000, processes, ..Job::default() }
}

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

fn reading(time: u64, used: u64, processes: &[(u32, Option<u64>)]) -> Reading {
    let gpu =
        Gpu { uuid: GPU, name: "card".into(), total: 1 << 30, used, processes: processes.to_vec() };
    Reading { time, gpus: vec![gpu] }
}

#[test]
fn a_gpu_s_use_is_traced_untraced_or_unexplained() {
    let mut job = job(vec![process(7, End::Running), process(8, End::Running)]);
    job.readings = vec![
        reading(1, 1, &[]),
        reading(2, 400 * MIB, &[(7, Some(80 * MIB)), (8, None), (9, Some(200 * MIB))]),
    ];
    let report = build(&job, Detail::default());
    let [gpu] = report.gpus.as_slice() else { panic!("{:?}", report.gpus) };
    assert_eq!(gpu.uuid, "GPU-00010203-0405-0607-0809-0a0b0c0d0e0f");
    assert_eq!(gpu.untraced.iter().map(|u| u.pid).collect::<Vec<_>>(), [9]);
    // 80 MiB and 200 MiB by NVML, 50 MiB by the ledger of the process it has no number for.
    assert_eq!(gpu.unexplained_bytes, Some(70 * MIB));
    assert_eq!(report.processes[0].devices[0].nvml_bytes, Some(80 * MIB));
    assert_eq!(report.processes[1].devices[0].nvml_bytes, None);
}

#[test]
fn memory_of_the_dead_is_not_on_the_card_while_others_run() {
    let mut job = job(vec![process(7, End::Killed(9)), process(8, End::Running)]);
    let running = build(&job, Detail::default());
    assert_eq!(running.gpus[0].processes.iter().map(|p| p.pid).collect::<Vec<_>>(), [8]);
    assert_eq!(running.processes[0].state, ProcessState::Killed);
    assert_eq!(running.processes[0].signal, Some(9));
    assert_eq!(running.processes[0].devices[0].reserved_bytes, 50 * MIB);
    // When all have ended, the last reading that names them is what they are set against.
    job.processes[1].end = End::Exited(Some(0));
    job.readings = vec![
        reading(1, 200 * MIB, &[(7, Some(90 * MIB))]),
        reading(2, 300 * MIB, &[(7, Some(80 * MIB)), (8, Some(60 * MIB))]),
        reading(3, 0, &[]),
    ];
    let ended = build(&job, Detail::default());
    assert_eq!(ended.gpus[0].nvml_used_bytes, Some(300 * MIB));
    assert_eq!(ended.gpus[0].nvml_time_ns, Some(2));
    assert_eq!(ended.gpus[0].processes.len(), 2);
    job.readings.truncate(1);
    let seen = build(&job, Detail::default());
    assert_eq!(seen.gpus[0].processes.iter().map(|p| p.pid).collect::<Vec<_>>(), [7]);
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
