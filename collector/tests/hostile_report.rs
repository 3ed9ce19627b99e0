//! A process may say anything about itself: the report is made all the same, in lines that fit.

use std::collections::BTreeMap;

use collector::{
    ledger::{Code, End, Gauges, Health, Identity, Instance, Live, Module, Tables},
    nvml::{Gpu, Reading},
    present::{
        build::{Detail, build},
        report::Report,
        text::{WIDTH, render},
    },
    process::{Job, Losses, Played, Process},
    state::State,
};
use proptest::{collection::vec, prelude::*};
use wire::{
    live::Entry,
    record::Class,
    trie::{FrameKind, Node},
};

const GPU: [u64; 2] = [1, 2];

/// Small numbers as often as any.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![0..40u64, any::<u64>(), Just(u64::MAX)]
}

fn live() -> impl Strategy<Value = Live> {
    (number(), 1..14u8, number(), 0..8u32, 0..8u32, any::<u16>(), any::<bool>()).prop_map(
        |(address, class, size, native, python, link, freeing)| {
            let class = Class::of(class).unwrap();
            let entry = Entry {
                address,
                class,
                device: 0,
                flags: 0,
                size,
                native,
                python,
                birth_us: address,
                link,
            };
            Live { index: address as u32, freeing, entry }
        },
    )
}

fn tables() -> impl Strategy<Value = Tables> {
    let node = (0..8u32, any::<bool>(), number()).prop_map(|(parent, python, frame)| Node {
        parent,
        kind: if python { FrameKind::Python } else { FrameKind::Native },
        frame: if python { frame & 7 | frame << 32 } else { frame },
    });
    let code = (".{0,200}", ".{0,200}", vec(any::<u8>(), 0..40), any::<u32>(), 0x300..0x312u32)
        .prop_map(|(name, file, lines, first_line, python)| Code {
            name,
            file,
            lines,
            first_line,
            python,
        });
    let module = (number(), number(), number(), ".{0,200}")
        .prop_map(|(start, end, offset, path)| Module { start, end, offset, path, inode: 0 });
    (vec((0..8u32, node), 0..8), vec((0..8u32, code), 0..8), vec(module, 0..8)).prop_map(
        |(nodes, codes, modules)| Tables {
            nodes: nodes.into_iter().collect(),
            codes: codes.into_iter().collect(),
            modules,
            apis: Vec::new(),
        },
    )
}

fn gauges() -> impl Strategy<Value = Gauges> {
    vec(number(), 8).prop_map(|n| Gauges {
        device: 0,
        uuid: GPU,
        total: n[0],
        reserved: n[1],
        reserved_peak: n[2],
        reserved_peak_time: n[3],
        allocated: n[4],
        allocated_peak: n[5],
        allocated_peak_time: n[6],
        torch_reserved: n[7],
        torch_reserved_peak: n[0],
        pool_allocated: n[1],
    })
}

fn process() -> impl Strategy<Value = Process> {
    let identity = (any::<u64>(), any::<u32>(), number(), ".{0,300}").prop_map(
        |(instance, pid, started, text)| Identity {
            instance: Instance([instance, 0]),
            pid,
            pid_namespace: 0,
            start_ticks: 0,
            started_monotonic: started,
            started_realtime: instance,
            command: Vec::new(),
            executable: text,
            environment: BTreeMap::new(),
            driver_version: 0,
        },
    );
    let text = || proptest::option::of(".{0,300}");
    (identity, vec(live(), 0..20), tables(), gauges(), vec(number(), 14), text(), text()).prop_map(
        |(identity, live, tables, gauges, counters, role, command)| Process {
            pid: identity.pid,
            identity,
            health: Health { counters, ..Health::default() },
            gauges: vec![gauges],
            end: End::Ended,
            role,
            warnings: command.iter().cloned().collect(),
            command: command.unwrap_or_default(),
            tables,
            played: Played { state: State::from_live(&live), ..Played::default() },
            in_flight: 1,
            losses: Losses::default(),
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_process_gives_a_report_that_fits(processes in vec(process(), 0..3), used in number()) {
        let listed = processes.iter().map(|process| (process.pid, Some(used))).collect();
        let gpu = Gpu { uuid: GPU, name: "\u{1b}[2J".into(), total: used, used, processes: listed };
        let readings = vec![Reading { time: 1, gpus: vec![gpu] }];
        let job = Job { as_of: used, processes, readings, ..Job::default() };
        let report = build(&job, Detail { segments: true, names: true });
        let text = render(&report);
        for line in text.lines() {
            prop_assert!(line.chars().count() <= WIDTH, "{line}");
            prop_assert!(!line.chars().any(char::is_control), "{line:?}");
        }
        let json = serde_json::to_string(&report).unwrap();
        prop_assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
    }
}
