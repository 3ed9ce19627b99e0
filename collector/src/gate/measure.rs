//! What is measured of a run: each process on each device, and each GPU as a whole.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    blame::{self, Line},
    course::Course,
    waves::{Wave, Waves},
};
use crate::{
    detect::thresholds::WARM_UP_SHARE,
    ledger::{End, Gauges},
    present::{
        build::uuid_text,
        report::{Device, Report},
        text::name,
    },
    process::{Job, Process},
};

/// What an allocator must have had idle for its share to be told: nobody runs out of memory for less.
pub const LEAST_IDLE: u64 = 64 << 20;

/// The part of a run that is judged, ns of `CLOCK_REALTIME`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Its begin.
    pub begin: u64,
    /// The end of its warm-up.
    pub warm: u64,
    /// Its end.
    pub end: u64,
}

impl Stretch {
    /// Of a run of which nothing more is known than when it was: the warm-up is its first fifth, as it is
    /// for the detectors.
    fn of(process: &Process, as_of: u64) -> Self {
        let identity = &process.identity;
        let begin = identity.started_realtime;
        let end = if process.end == End::Running { as_of } else { ended(process) }.max(begin);
        Self { begin, warm: begin + (end - begin) / WARM_UP_SHARE, end }
    }
}

/// When a process that ended was heard of last.
fn ended(process: &Process) -> u64 {
    let last = process.played.state.now().max(process.health.exited);
    process.identity.realtime(last.max(process.identity.started_monotonic))
}

/// What a process held on a device, and what it gained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProcessCourse {
    /// The process.
    pub instance: String,
    /// Its process id.
    pub pid: u32,
    /// What it is in the job; else its program.
    pub name: String,
    /// Its CUDA ordinal.
    pub device: u8,
    /// The GPU.
    pub uuid: String,
    /// Physical bytes it took from the driver.
    pub reserved: Course,
    /// What NVML said it used; null where that is not known from the end of the warm-up on.
    pub nvml: Option<Course>,
    /// The greater growth of the two.
    pub growth_bytes: u64,
    /// Share of what PyTorch's allocator had reserved at most that it never used; null where it reported
    /// no block, or where that is less than 64 MiB.
    pub frag: Option<f64>,
    /// The line that most of the growth points to: of what was taken after the warm-up and is live, if that
    /// is half of it; else of what was taken from the driver. Null where nothing is, or without a stack.
    pub grown_at: Option<Line>,
    /// What it held after each wave, the warm-up's among them, as NVML says where it told it after each;
    /// empty where nobody drove the run.
    pub wave_bytes: Vec<u64>,
}

impl ProcessCourse {
    /// The course that grew more, and who tells it.
    #[must_use]
    pub fn told(&self) -> (Course, &'static str) {
        let nvml = self.nvml.filter(|nvml| nvml.growth() >= self.reserved.growth());
        nvml.map_or((self.reserved, "ledger"), |nvml| (nvml, "NVML"))
    }

    /// What to call it in a sentence.
    #[must_use]
    pub fn who(&self) -> String {
        format!("{} (pid {})", self.name, self.pid)
    }
}

/// The most that was in use on a GPU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GpuPeak {
    /// The GPU.
    pub uuid: String,
    /// Product name; empty where NVML is not there to say.
    pub name: String,
    /// Its memory.
    pub total_bytes: u64,
    /// The greater one of the two below.
    pub peak_bytes: u64,
    /// What NVML saw in use by anybody; null without NVML.
    pub nvml_bytes: Option<u64>,
    /// What the traced processes had reserved together.
    pub reserved_bytes: u64,
}

/// The processes, over the waves where somebody drove the run.
#[must_use]
pub fn processes(job: &Job, report: &Report, waves: Option<&Waves>) -> Vec<ProcessCourse> {
    let stretch = waves.and_then(Waves::stretch);
    let mut courses = Vec::new();
    for process in &job.processes {
        let stretch = stretch.unwrap_or_else(|| Stretch::of(process, job.as_of));
        for gauges in &process.gauges {
            let instance = process.identity.instance.to_string();
            let told = report.processes.iter().find(|p| p.instance.as_ref() == Some(&instance));
            let device = told.and_then(|p| p.devices.iter().find(|d| d.device == gauges.device));
            let warm = process.identity.monotonic(stretch.warm);
            let (reserved, nvml) =
                (reserved(process, gauges, stretch), nvml(job, process, gauges, stretch));
            if reserved == Course::default() && nvml.is_none() {
                continue;
            }
            let growth = reserved.growth().max(nvml.map_or(0, |nvml| nvml.growth()));
            courses.push(ProcessCourse {
                instance,
                pid: process.pid,
                name: name(process.role.as_deref(), &process.command),
                device: gauges.device,
                uuid: uuid_text(gauges.uuid),
                reserved,
                nvml,
                growth_bytes: growth,
                frag: device.and_then(frag),
                grown_at: blame::grown(process, gauges.device, warm, growth),
                wave_bytes: waves
                    .map(|waves| after(job, process, gauges, waves))
                    .unwrap_or_default(),
            });
        }
    }
    courses
}

fn reserved(process: &Process, gauges: &Gauges, stretch: Stretch) -> Course {
    let identity = &process.identity;
    let [warm, end] = [stretch.warm, stretch.end].map(|time| identity.monotonic(time));
    let steps = process.played.reserved.get(&gauges.device);
    Course::of(steps.into_iter().flat_map(|steps| steps.points()), warm, end)
}

fn nvml(job: &Job, process: &Process, gauges: &Gauges, stretch: Stretch) -> Option<Course> {
    let points: Vec<(u64, u64)> = readings(job, process, gauges).collect();
    // What NVML was asked for the first time when the warm-up was over tells no growth.
    let known = points.first().is_some_and(|(time, _)| *time <= stretch.warm);
    known.then(|| Course::of(points, stretch.warm, stretch.end))
}

/// When NVML told what a process uses on a device, and what. Its pid was another's before it started. A
/// reading that is the same as the last one need not be kept, so the one that counts may be old.
fn readings(job: &Job, process: &Process, gauges: &Gauges) -> impl Iterator<Item = (u64, u64)> {
    let (pid, uuid, since) = (process.pid, gauges.uuid, process.identity.started_realtime);
    let readings = job.readings.iter().filter(move |reading| reading.time >= since);
    readings.filter_map(move |reading| {
        let gpu = reading.gpus.iter().find(|gpu| gpu.uuid == uuid)?;
        let (_, bytes) = gpu.processes.iter().find(|(listed, _)| *listed == pid)?;
        Some((reading.time, (*bytes)?))
    })
}

/// What was held after each wave.
fn after(job: &Job, process: &Process, gauges: &Gauges, waves: &Waves) -> Vec<u64> {
    let points: Vec<(u64, u64)> = readings(job, process, gauges).collect();
    let nvml = |wave: &Wave| {
        let before = points.partition_point(|(time, _)| *time <= wave.end_ns);
        points.get(before.checked_sub(1)?).map(|(_, bytes)| *bytes)
    };
    let steps = process.played.reserved.get(&gauges.device);
    let ledger = |wave: &Wave| {
        let at = process.identity.monotonic(wave.end_ns);
        steps.and_then(|steps| steps.at(at)).unwrap_or(0)
    };
    let by_nvml: Option<Vec<u64>> = waves.0.iter().map(nvml).collect();
    by_nvml.unwrap_or_else(|| waves.0.iter().map(ledger).collect())
}

/// What was never used of what was reserved at most. The peaks need not be of one moment: what was
/// reserved at one and not in use at any other was of no use to anybody.
fn frag(device: &Device) -> Option<f64> {
    let idle = device.allocators.iter().filter_map(|allocator| {
        let (reserved, used) = (allocator.peak_reserved_bytes, allocator.peak_allocated_bytes?);
        let idle = reserved.saturating_sub(used);
        (idle >= LEAST_IDLE).then(|| idle as f64 / reserved as f64)
    });
    idle.reduce(f64::max)
}

/// The GPUs that a traced process is on.
#[must_use]
pub fn gpus(job: &Job, report: &Report, waves: Option<&Waves>) -> Vec<GpuPeak> {
    let stretch = waves.and_then(Waves::stretch);
    let mut together: BTreeMap<[u64; 2], Vec<(u64, i128)>> = BTreeMap::new();
    for process in &job.processes {
        for gauges in &process.gauges {
            together.entry(gauges.uuid).or_default().extend(changes(process, gauges));
        }
    }
    let (begin, end) = stretch.map_or((0, u64::MAX), |stretch| (stretch.begin, stretch.end));
    let peaks = together.into_iter().map(|(uuid, changes)| {
        let text = uuid_text(uuid);
        let known = report.gpus.iter().find(|gpu| gpu.uuid == text);
        let readings = job.readings.iter().filter(|reading| reading.time <= end);
        let seen = readings.flat_map(|reading| &reading.gpus).filter(|gpu| gpu.uuid == uuid);
        let nvml_bytes = seen.map(|gpu| gpu.used).max();
        let reserved_bytes = greatest(changes, begin, end);
        GpuPeak {
            uuid: text,
            name: known.map(|gpu| gpu.name.clone()).unwrap_or_default(),
            total_bytes: known.map_or(0, |gpu| gpu.total_bytes),
            peak_bytes: nvml_bytes.unwrap_or(0).max(reserved_bytes),
            nvml_bytes,
            reserved_bytes,
        }
    });
    peaks.collect()
}

/// What a process's reserved memory on a device changes by, and when, ns of `CLOCK_REALTIME`. When it
/// ends all of it goes back.
fn changes(process: &Process, gauges: &Gauges) -> Vec<(u64, i128)> {
    let identity = &process.identity;
    let mut before = 0;
    let steps = process.played.reserved.get(&gauges.device);
    let points = steps.into_iter().flat_map(|steps| steps.points());
    let mut changes: Vec<(u64, i128)> = points
        .map(|(time, bytes)| {
            let by = i128::from(bytes) - before;
            before = bytes.into();
            (identity.realtime(time.max(identity.started_monotonic)), by)
        })
        .collect();
    if process.end != End::Running {
        changes.push((ended(process), -before));
    }
    changes
}

/// The greatest sum between two moments.
fn greatest(mut changes: Vec<(u64, i128)>, begin: u64, end: u64) -> u64 {
    changes.sort_by_key(|(time, _)| *time);
    let (mut sum, mut before, mut most) = (0_i128, 0_i128, 0_i128);
    for (time, by) in changes.into_iter().filter(|(time, _)| *time <= end) {
        sum = sum.saturating_add(by);
        if time <= begin { before = sum } else { most = most.max(sum) }
    }
    u64::try_from(most.max(before)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greatest_sum_is_that_of_one_moment() {
        // One holds 10 from 5 to 20, another 7 from 15 to 40, a third 9 from 30 on.
        let changes = vec![(5, 10), (20, -10), (15, 7), (40, -7), (30, 9)];
        assert_eq!(greatest(changes.clone(), 0, u64::MAX), 17);
        assert_eq!(greatest(changes.clone(), 22, u64::MAX), 16);
        assert_eq!(greatest(changes.clone(), 22, 25), 7, "what was there at its begin counts");
        assert_eq!(greatest(changes, 0, 12), 10);
    }
}
