//! Who else was on a GPU at a moment, as far as that is known.

use crate::{
    ledger::End,
    nvml::{Gpu, Reading},
    present::{text::name, total},
    process::{Job, Process},
};

/// A reading tells of a moment if it is no farther from it, ns: two of the sampler's seconds.
const NEAR: u64 = 2_000_000_000;

/// The other processes on a GPU at one moment, most bytes first.
#[derive(Debug, Default)]
pub(super) struct Neighbours {
    /// Traced ones by what to call them, with what they had taken from the driver.
    pub traced: Vec<(String, u64)>,
    /// Others by pid, with what NVML said within two seconds of the moment.
    pub untraced: Vec<(u32, u64)>,
}

impl Neighbours {
    /// The neighbours of `process` at `time`, `CLOCK_REALTIME` ns.
    pub fn at(job: &Job, process: &Process, uuid: [u64; 2], time: u64) -> Self {
        let mut found = Self::default();
        if uuid == [0; 2] {
            return found;
        }
        let reading = job.readings.iter().min_by_key(|reading| reading.time.abs_diff(time));
        let reading = reading.filter(|reading| reading.time.abs_diff(time) <= NEAR);
        let gpu = reading.and_then(|reading| on(reading, uuid));
        for other in job.processes.iter().filter(|other| !std::ptr::eq(*other, process)) {
            let here = other.gauges.iter().filter(|gauges| gauges.uuid == uuid);
            let steps = here.filter_map(|gauges| other.played.reserved.get(&gauges.device));
            let then = other.identity.monotonic(time);
            let held = total(steps.filter_map(|steps| steps.at(then)));
            if held > 0 && was_there(other, gpu, time) {
                let who = name(other.role.as_deref(), &other.command);
                found.traced.push((format!("{who} (pid {})", other.pid), held));
            }
        }
        let listed = gpu.into_iter().flat_map(|gpu| &gpu.processes);
        let strangers = listed.filter(|(pid, _)| job.processes.iter().all(|p| p.pid != *pid));
        found.untraced = strangers.filter_map(|(pid, bytes)| Some((*pid, (*bytes)?))).collect();
        found.traced.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
        found.untraced.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
        found
    }

    /// What they held.
    pub fn bytes(&self) -> u64 {
        let traced = self.traced.iter().map(|(_, bytes)| *bytes);
        total(traced.chain(self.untraced.iter().map(|(_, bytes)| *bytes)))
    }
}

fn on(reading: &Reading, uuid: [u64; 2]) -> Option<&Gpu> {
    reading.gpus.iter().find(|gpu| gpu.uuid == uuid)
}

/// Whether a process is known to have been alive then: it is, it did something later, or NVML saw it.
fn was_there(process: &Process, gpu: Option<&Gpu>, time: u64) -> bool {
    let last = process.played.state.now().max(process.health.exited);
    process.end == End::Running
        || last > 0 && process.identity.realtime(last) >= time
        || gpu.is_some_and(|gpu| gpu.processes.iter().any(|(pid, _)| *pid == process.pid))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{
        ledger::{Gauges, Health, Identity, Instance, Tables},
        process::{Losses, Played, Steps},
    };

    const GPU: [u64; 2] = [1, 2];
    const SECOND: u64 = 1_000_000_000;

    /// A process that had 7 bytes from second 10 on; both its clocks are one.
    fn process(pid: u32, end: End) -> Process {
        let mut steps = Steps::default();
        steps.push(10 * SECOND, 7);
        Process {
            identity: Identity {
                instance: Instance([0, pid.into()]),
                pid,
                pid_namespace: 0,
                start_ticks: 0,
                started_monotonic: SECOND,
                started_realtime: SECOND,
                command: Vec::new(),
                executable: String::new(),
                environment: BTreeMap::new(),
                driver_version: 0,
            },
            pid,
            health: Health::default(),
            gauges: vec![Gauges { uuid: GPU, ..Gauges::default() }],
            end,
            role: None,
            command: "serve".to_owned(),
            tables: Tables::default(),
            played: Played { reserved: BTreeMap::from([(0, steps)]), ..Played::default() },
            in_flight: 0,
            losses: Losses::default(),
            warnings: Vec::new(),
        }
    }

    fn job(end: End) -> Job {
        let processes = vec![process(1, End::Running), process(2, end)];
        Job { processes, ..Job::default() }
    }

    fn reading(second: u64, processes: &[(u32, Option<u64>)]) -> Reading {
        let (name, total, used) = (String::new(), 100, 50);
        let gpu = Gpu { uuid: GPU, name, total, used, processes: processes.to_vec() };
        Reading { time: second * SECOND, gpus: vec![gpu] }
    }

    fn bytes(job: &Job, uuid: [u64; 2], second: u64) -> u64 {
        Neighbours::at(job, &job.processes[0], uuid, second * SECOND).bytes()
    }

    #[test]
    fn another_process_counts_with_what_it_had_then_and_only_on_this_gpu() {
        let job = job(End::Running);
        assert_eq!([9, 10, 11].map(|second| bytes(&job, GPU, second)), [0, 7, 7]);
        assert_eq!(bytes(&job, [3, 4], 11), 0);
        assert_eq!(bytes(&job, [0; 2], 11), 0);
    }

    #[test]
    fn one_that_ended_counts_only_where_something_says_it_was_there_still() {
        let mut job = job(End::Ended);
        assert_eq!(bytes(&job, GPU, 11), 0);
        job.processes[1].health.exited = 12 * SECOND;
        assert_eq!([11, 12, 13].map(|second| bytes(&job, GPU, second)), [7, 7, 0]);
        job.readings = vec![reading(14, &[(2, None)])];
        assert_eq!([13, 16, 17].map(|second| bytes(&job, GPU, second)), [7, 7, 0]);
    }

    #[test]
    fn strangers_count_with_what_nvml_said_within_two_seconds() {
        let mut job = job(End::Ended);
        job.readings = vec![reading(20, &[(1, Some(9)), (2, Some(9)), (99, Some(5)), (98, None)])];
        let at =
            |second: u64| Neighbours::at(&job, &job.processes[0], GPU, second * SECOND).untraced;
        assert_eq!(at(20), [(99, 5)]);
        assert_eq!(at(23), []);
    }
}
