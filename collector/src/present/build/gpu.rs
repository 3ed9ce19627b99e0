//! The GPUs: what NVML says of each, and what of it the ledgers explain.

use std::collections::BTreeMap;

use super::{Subject, device, uuid_text};
use crate::{
    ledger::End,
    nvml::{self, Reading},
    present::{
        report::{Gpu, GpuProcess, Untraced},
        total,
    },
    process::Job,
};

/// The reading to set the ledgers against: of those that name most of the traced processes the
/// newest. While a job runs that is the last one; when it has ended, the last before its end.
pub(super) fn reading(job: &Job) -> Option<&Reading> {
    let running = job.processes.iter().any(|process| process.end == End::Running);
    let wanted: Vec<u32> = job
        .processes
        .iter()
        .filter(|process| !running || process.end == End::Running)
        .map(|process| process.pid)
        .collect();
    let named = |reading: &Reading| {
        wanted
            .iter()
            .filter(|pid| reading.gpus.iter().any(|gpu| listed(gpu, **pid).is_some()))
            .count()
    };
    job.readings.iter().max_by_key(|reading| (named(reading), reading.time))
}

/// What NVML says of a process on a GPU: nothing, or that it is there and perhaps with how much.
fn listed(gpu: &nvml::Gpu, pid: u32) -> Option<Option<u64>> {
    gpu.processes.iter().find(|(listed, _)| *listed == pid).map(|(_, bytes)| *bytes)
}

/// What NVML says a process uses on the GPU with this UUID.
pub(super) fn bytes_of(
    subject: &Subject<'_>,
    uuid: [u64; 2],
    reading: Option<&Reading>,
) -> Option<u64> {
    let gpu = reading?.gpus.iter().find(|gpu| gpu.uuid == uuid)?;
    listed(gpu, subject.process.pid)?
}

/// The GPUs that NVML knows or a process that is told of touched, in NVML's order.
pub(super) fn gpus(job: &Job, subjects: &[Subject<'_>], reading: Option<&Reading>) -> Vec<Gpu> {
    let known: &[nvml::Gpu] = reading.map_or(&[], |reading| &reading.gpus);
    let told_of = subjects.iter().filter(|subject| job.tells_of(subject.process));
    let touched = told_of.flat_map(|subject| &subject.process.gauges);
    let others: BTreeMap<[u64; 2], u64> = touched
        .filter(|gauges| gauges.uuid != [0; 2])
        .filter(|gauges| known.iter().all(|gpu| gpu.uuid != gauges.uuid))
        .map(|gauges| (gauges.uuid, gauges.total))
        .collect();
    let known = known.iter().map(|gpu| {
        let processes = on_gpu(subjects, gpu.uuid, reading, Some(gpu));
        let untraced: Vec<Untraced> = gpu
            .processes
            .iter()
            .filter(|(pid, _)| subjects.iter().all(|subject| subject.process.pid != *pid))
            .map(|(pid, nvml_bytes)| Untraced { pid: *pid, nvml_bytes: *nvml_bytes })
            .collect();
        let traced = processes.iter().map(|p| p.nvml_bytes.unwrap_or(p.reserved_bytes));
        let others = untraced.iter().filter_map(|process| process.nvml_bytes);
        let explained = total(traced.chain(others));
        Gpu {
            uuid: uuid_text(gpu.uuid),
            name: gpu.name.clone(),
            total_bytes: gpu.total,
            nvml_used_bytes: Some(gpu.used),
            processes,
            untraced,
            unexplained_bytes: Some(gpu.used.saturating_sub(explained)),
            nvml_time_ns: reading.map(|reading| reading.time),
        }
    });
    let others = others.into_iter().map(|(uuid, total)| Gpu {
        uuid: uuid_text(uuid),
        name: String::new(),
        total_bytes: total,
        nvml_used_bytes: None,
        processes: on_gpu(subjects, uuid, None, None),
        untraced: Vec::new(),
        unexplained_bytes: None,
        nvml_time_ns: None,
    });
    known.chain(others).collect()
}

/// The traced processes on a GPU: those that run. Where none runs any more, those that NVML saw
/// there, with what they held then, so that all numbers are of one moment; or all, where it saw
/// none, with what they held in the end.
fn on_gpu(
    subjects: &[Subject<'_>],
    uuid: [u64; 2],
    reading: Option<&Reading>,
    gpu: Option<&nvml::Gpu>,
) -> Vec<GpuProcess> {
    let running = subjects.iter().any(Subject::is_running);
    let seen = |subject: &Subject<'_>| gpu.and_then(|gpu| listed(gpu, subject.process.pid));
    let some_seen = subjects.iter().any(|subject| seen(subject).is_some());
    let counts = |subject: &&Subject<'_>| match running {
        true => subject.is_running(),
        false => !some_seen || seen(subject).is_some(),
    };
    let mut processes = Vec::new();
    for subject in subjects.iter().filter(counts) {
        for gauges in subject.process.gauges.iter().filter(|gauges| gauges.uuid == uuid) {
            let identity = subject.identity();
            let seen_at = reading.filter(|_| !running && seen(subject).is_some());
            let then = seen_at.and_then(|reading| {
                let steps = subject.process.played.reserved.get(&gauges.device)?;
                steps.at(identity.monotonic(reading.time))
            });
            processes.push(GpuProcess {
                instance: identity.instance.to_string(),
                pid: subject.process.pid,
                role: subject.process.role.clone(),
                reserved_bytes: then.unwrap_or_else(|| device::reserved(subject.process, gauges)),
                nvml_bytes: seen(subject).flatten(),
            });
        }
    }
    processes
}
