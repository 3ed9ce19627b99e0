//! The report's table of a GPU, of jobs made by hand.

mod made;

use std::collections::BTreeMap;

use collector::{
    ledger::End,
    nvml::{Gpu, Reading},
    present::{
        build::{Detail, build},
        report::ProcessState,
    },
    process::{Job, Steps},
};
use made::*;

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
fn the_figures_of_a_job_that_has_ended_are_of_one_moment() {
    // 5 MiB when NVML looked, 50 MiB in the end.
    let mut late = process(7, End::Exited(Some(0)));
    let mut steps = Steps::default();
    steps.push(1_000, 5 * MIB);
    steps.push(1_000_000_000, 50 * MIB);
    late.played.reserved = BTreeMap::from([(0, steps)]);
    let at = late.identity.started_realtime + 10_000;
    let readings = vec![reading(at, 9 * MIB, &[(7, Some(9 * MIB))])];
    let report = build(&Job { readings, ..job(vec![late]) }, Detail::default());
    assert_eq!(report.gpus[0].processes[0].reserved_bytes, 5 * MIB);
    assert_eq!(report.processes[0].devices[0].reserved_bytes, 50 * MIB);
}

#[test]
fn whom_the_report_does_not_tell_of_is_traced_all_the_same() {
    let processes = vec![process(7, End::Running), process(8, End::Running)];
    let readings = vec![reading(1, 90 * MIB, &[(7, Some(40 * MIB)), (8, Some(50 * MIB))])];
    let job = Job { only: Some(7), readings, ..job(processes) };
    let report = build(&job, Detail::default());
    assert_eq!(report.processes.iter().map(|p| p.pid).collect::<Vec<_>>(), [7]);
    let gpu = &report.gpus[0];
    assert_eq!(gpu.processes.iter().map(|p| p.pid).collect::<Vec<_>>(), [7, 8]);
    assert!(gpu.untraced.is_empty());
    assert_eq!(gpu.unexplained_bytes, Some(0));
}
