//! From what is known to the report: no file, no clock, only what it is given.

mod born;
mod device;
mod finding;
mod gpu;
mod graph_pools;
mod growth;
mod loose;
mod neighbours;
mod owners;
mod phases;
mod process;
mod shared;
mod sites;
mod trend;
mod untracked;

pub use born::born;

use std::{collections::BTreeMap, rc::Rc};

use super::report::{self, Report, SCHEMA_VERSION};
use crate::{
    ledger::{End, Identity},
    process::{Job, Process},
    state::{Device, Owned},
    symbol::site::Stacks,
};

use shared::Commons;
use sites::SiteBook;

/// How much to say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Detail {
    /// The segment map, too.
    pub segments: bool,
    /// Names of all native functions, not only of those the text shows.
    pub names: bool,
}

/// A process while the report is made.
struct Subject<'a> {
    process: &'a Process,
    stacks: Stacks<'a>,
    /// The memory of its devices by owner, put together when it is asked for first ([`device::owned`]).
    owned: BTreeMap<Device, Rc<Owned<Rc<str>>>>,
}

impl Subject<'_> {
    fn identity(&self) -> &Identity {
        &self.process.identity
    }

    fn is_running(&self) -> bool {
        self.process.end == End::Running
    }
}

/// The report about `job`.
#[must_use]
pub fn build(job: &Job, detail: Detail) -> Report {
    let mut book = SiteBook::default();
    let all: Vec<Subject> = job.processes.iter().map(subject).collect();
    let reading = gpu::reading(job);
    let gpus = gpu::gpus(job, &all, reading);
    let mut subjects: Vec<Subject> =
        all.into_iter().filter(|subject| job.tells_of(subject.process)).collect();
    let commons = Commons::of(job);
    let mut processes = Vec::new();
    for subject in &mut subjects {
        let mut told = process::traced(subject, &mut book, &commons, reading, detail);
        untracked(job, subject.process, &mut told);
        told.growth = growth::growth(subject, &mut book, job.growing.as_ref());
        processes.push(told);
    }
    let findings = finding::findings(job, &gpus, &mut subjects, &processes, &mut book, &commons);
    let others = job.bystanders.iter().map(|each| process::bystander(each, job));
    processes.extend(others);
    processes.sort_by_key(|process| process.start_time_ns);
    let mut report = Report {
        schema_version: SCHEMA_VERSION,
        as_of_ns: job.as_of,
        findings,
        gpus,
        processes,
        sites: BTreeMap::new(),
        notes: job.notes.clone(),
    };
    book.write(&mut report, detail.names);
    report
}

/// How what no call took came about on each device, as far as the driver was asked.
fn untracked(job: &Job, process: &Process, told: &mut report::Process) {
    for (device, gauges) in told.devices.iter_mut().zip(&process.gauges) {
        device.untracked_steps = untracked::steps(&job.readings, process, gauges);
    }
}

fn subject(process: &Process) -> Subject<'_> {
    let pid = (process.end == End::Running).then_some(process.pid);
    Subject { process, stacks: Stacks::new(&process.tables, pid), owned: BTreeMap::new() }
}

/// A GPU's UUID as NVML writes it.
pub(crate) fn uuid_text(words: [u64; 2]) -> String {
    let bytes = words.map(u64::to_le_bytes).concat();
    let part = |range: std::ops::Range<usize>| -> String {
        bytes[range].iter().map(|byte| format!("{byte:02x}")).collect()
    };
    format!("GPU-{}-{}-{}-{}-{}", part(0..4), part(4..6), part(6..8), part(8..10), part(10..16))
}
