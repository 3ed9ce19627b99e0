//! The report about jobs made by hand.

use collector::{
    ledger::{End, Module},
    nvml::{Gpu, Reading},
    present::{
        build::{Detail, build},
        report::{Frame, Missing},
        text::render,
    },
    process::{Bystander, Played, Process},
    state::State,
};
use wire::{
    header::Counter,
    live::{LINK_MAPPING, LINK_REFERENCE},
    record::{Class, FLAG_PRIVATE},
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
fn handles_that_are_mapped_nowhere_or_released_are_listed_by_who_took_them() {
    let mut held = held();
    for handle in [0x70, 0x71] {
        held.push(live(Class::Handle, handle, 20 * MIB, NCCL));
        held.last_mut().unwrap().entry.link = LINK_REFERENCE;
    }
    held.push(live(Class::Handle, 0x72, 10 * MIB, NCCL));
    held.last_mut().unwrap().entry.link = LINK_MAPPING;
    let mapping = live(Class::Mapping, 0x9000_0000, 10 * MIB, 0x72);
    held.push(mapping);
    let process = Process {
        played: Played { state: State::from_live(&held), ..Played::default() },
        ..process(7, End::Running)
    };
    let report = build(&job(vec![process]), Detail::default());
    let device = &report.processes[0].devices[0];
    assert_eq!(device.by_kind.vmm, 50 * MIB);
    let [unmapped, unnamed] = device.loose_handles.as_slice() else { panic!("{device:?}") };
    assert_eq!(
        (unmapped.missing, unmapped.bytes, unmapped.handles),
        (Missing::Mapping, 40 * MIB, 2)
    );
    assert_eq!((unnamed.missing, unnamed.bytes, unnamed.handles), (Missing::Name, 10 * MIB, 1));
    assert!(report.sites.contains_key(&unmapped.site));
    let text = render(&report);
    assert!(text.contains("mapped nowhere 40.0 MiB in 2 handles, since"), "{text}");
    assert!(text.contains("kept without a handle 10.0 MiB in 1 handle, since"), "{text}");
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
fn frees_of_what_nobody_held_are_in_the_events() {
    let mut process = process(7, End::Running);
    process.health.counters = vec![0; 16];
    process.health.counters[Counter::UnknownFree as usize] = 5;
    process.health.counters[Counter::RefusedFree as usize] = 2;
    let report = build(&job(vec![process]), Detail::default());
    let events = report.processes[0].events;
    assert_eq!((events.unknown_frees, events.refused_frees), (5, 2));
}

#[test]
fn what_was_live_at_a_peak_nobody_saw_is_null() {
    let mut job = job(vec![process(7, End::Running)]);
    job.processes[0].played.known_since = 5_001;
    let report = build(&job, Detail::default());
    let peak = &report.processes[0].devices[0].peak;
    assert_eq!((peak.time_ns, &peak.sites), (1_005_000, &None));
}

fn bystander(pid: u32, started_realtime: u64) -> Bystander {
    Bystander {
        pid,
        start_ticks: 1,
        started_realtime,
        command: "python work.py".into(),
        role: None,
        end: End::Exited(Some(0)),
    }
}

/// What NVML says of each of two cards.
fn reading(time: u64, of_both: [&[(u32, Option<u64>)]; 2]) -> Reading {
    let gpu = |(n, processes): (u64, &[_])| Gpu {
        uuid: [n, n],
        name: "GPU".into(),
        total: 80 << 30,
        used: 0,
        processes: processes.to_vec(),
    };
    Reading { time, gpus: (1..).zip(of_both).map(gpu).collect() }
}

#[test]
fn of_one_that_left_no_ledger_it_is_only_said_that_it_used_no_cuda_if_it_was_on_no_card() {
    let mut job = job(vec![process(7, End::Running)]);
    job.bystanders = vec![bystander(8, 20), bystander(9, 20), bystander(10, 20)];
    job.readings = vec![
        // Before any of them was started: others of the same pids.
        reading(10, [&[(8, Some(900 * MIB)), (9, Some(900 * MIB)), (10, None)], &[]]),
        reading(30, [&[(8, Some(500 * MIB))], &[(8, Some(100 * MIB)), (10, None)]]),
        reading(40, [&[(8, Some(300 * MIB))], &[]]),
    ];
    let report = build(&job, Detail::default());
    let told = |pid| report.processes.iter().find(|process| process.pid == pid).unwrap();
    assert!(!told(9).cuda && told(9).warnings.is_empty());
    assert!(told(8).cuda && told(10).cuda);
    let warned = |pid, what| told(pid).warnings[0].starts_with(what);
    assert!(warned(8, "not traced: NVML saw it on a card with 600.0 MiB, and it left no ledger"));
    assert!(warned(10, "not traced: NVML saw it on a card, and it left no ledger"));
    let text = render(&report);
    assert!(text.contains("\nNever used CUDA: work.py (pid 9, exited with 0)\n"), "{text}");
    assert!(
        text.contains("work.py  pid 8  exited with 0\n  python work.py\n  Warning: not traced")
    );
    // Nobody watched those.
    assert!(text.contains(" 1 process: nothing wrong was found"), "{text}");
}

#[test]
fn where_nvml_never_told_who_is_on_the_cards_it_is_not_said_that_nobody_else_used_cuda() {
    let mut job = job(vec![process(7, End::Running)]);
    job.bystanders = vec![bystander(8, 20)];
    let told = "\nLeft no ledger, so never used CUDA or ran without the library: work.py (pid 8,";
    let text = render(&build(&job, Detail::default()));
    assert!(text.contains(told), "{text}");
}

#[test]
fn what_nvml_saw_of_the_next_process_of_a_pid_is_not_put_down_to_one_that_left_no_ledger() {
    let mut traced = process(9, End::Running);
    traced.identity.started_realtime = 36;
    let mut job = job(vec![traced]);
    job.bystanders = vec![bystander(8, 20), bystander(8, 36), bystander(9, 20)];
    job.readings = vec![reading(40, [&[(8, Some(MIB))], &[(9, Some(70 << 30))]])];
    let report = build(&job, Detail::default());
    let of = |pid| report.processes.iter().filter(move |process| process.pid == pid);
    assert_eq!(of(8).map(|process| process.cuda).collect::<Vec<_>>(), [false, true]);
    assert!(!of(9).any(|process| process.warnings.iter().any(|one| one.contains("not traced"))));
}
