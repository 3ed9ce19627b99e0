//! Jobs made by hand.
#![allow(dead_code, missing_docs, reason = "each file of tests uses some of it")]

use std::collections::BTreeMap;

use collector::{
    ledger::{Code, End, Gauges, Health, Identity, Instance, Live, Module, Tables},
    process::{Job, Losses, Played, Process},
    state::State,
};
use wire::{
    live::Entry,
    record::Class,
    trie::{FrameKind, Node},
};

pub const MIB: u64 = 1 << 20;
pub const GPU: [u64; 2] = [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908];
/// The stacks of [`tables`].
pub const TORCH: u32 = 1;
pub const NCCL: u32 = 2;
pub const PYTHON: u32 = 3;

/// A stack through PyTorch's allocator, one through NCCL, and a Python stack on line 7 of `job.py`.
pub fn tables() -> Tables {
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

pub fn live(class: Class, address: u64, size: u64, native: u32) -> Live {
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
pub fn held() -> Vec<Live> {
    vec![
        live(Class::Linear, 0x1000_0000, 20 * MIB, TORCH),
        live(Class::Block, 0x1000_0000, 4 * MIB, 0),
        live(Class::Linear, 0x2000_0000, 20 * MIB, TORCH),
        live(Class::Linear, 0x3000_0000, 10 * MIB, NCCL),
    ]
}

pub fn process(pid: u32, end: End) -> Process {
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

pub fn job(processes: Vec<Process>) -> Job {
    Job { as_of: 9_000_000, processes, ..Job::default() }
}
