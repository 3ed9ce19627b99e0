//! Who a process is, and everything that is known about it: what `source` and `store` build and
//! what `present` shows.

mod calls;
mod detectors;
pub mod end;
mod growing;
mod moment;
mod played;
#[cfg(test)]
mod played_tests;
pub mod proc_fs;
pub mod redact;
mod replaced;
pub mod role;
mod steps;
mod trend;
mod trends;
pub mod warnings;

pub use calls::{Call, Calls};
pub use detectors::{Detectors, Figures};
pub use growing::{First, Growing, warm_up};
pub use moment::{Moment, Stops};
pub use played::{Observer, Played, Player};
pub use replaced::replaced;
pub use steps::Steps;
pub use trend::{Course, Leak, Trend, Unit};

use std::collections::BTreeMap;

use crate::{
    ledger::{End, Gauges, Health, Identity, Instance, Tables},
    nvml::Reading,
};

/// Everything that is known about one process that recorded.
#[derive(Clone, Debug)]
pub struct Process {
    /// Who it says it is.
    pub identity: Identity,
    /// Its pid here: in the reader's pid namespace where it was found there, else its own word.
    pub pid: u32,
    /// What its ledger was doing at the end, and what that lost.
    pub health: Health,
    /// Its devices, by ordinal; only those it ever touched.
    pub gauges: Vec<Gauges>,
    /// How it ended, or that it has not.
    pub end: End,
    /// What it is in the job; `None` where nothing says.
    pub role: Option<String>,
    /// Its command line with secrets blotted out, quoted as a shell would need it.
    pub command: String,
    /// What stack ids mean.
    pub tables: Tables,
    /// What it holds, or held when it died: exact whatever was lost of the timeline, because it ends
    /// with the live table.
    pub played: Played,
    /// Calls that were under way when it was looked at, or when it died: memory that was being taken
    /// or given back.
    pub in_flight: u32,
    /// What was lost of its timeline on the way here.
    pub losses: Losses,
    /// Sentences about it that a reader of the report must know.
    pub warnings: Vec<String>,
}

/// What a process's timeline lacks. The live set lacks nothing for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Losses {
    /// Slots overwritten before they were read.
    pub overwritten: u64,
    /// Slots that were claimed and never finished: dropped by their writer, or its last when it was
    /// killed.
    pub unfinished: u64,
    /// Slots that did not hold what their check says.
    pub damaged: u64,
    /// Slots of a kind this version does not know.
    pub unknown: u64,
    /// `CLOCK_REALTIME` ns since when block events were not stored for want of room.
    pub blocks_unstored_since: Option<u64>,
}

/// A process of the job that left no ledger: it never used CUDA, or ran without the library.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Bystander {
    /// Process id.
    pub pid: u32,
    /// Start time, clock ticks since boot.
    pub start_ticks: u64,
    /// `CLOCK_REALTIME` of the start, ns.
    pub started_realtime: u64,
    /// Command line with secrets blotted out.
    pub command: String,
    /// What it is in the job.
    pub role: Option<String>,
    /// How it ended.
    pub end: End,
}

impl Process {
    /// Whether it is the one that `pid` means, here or in its own pid namespace.
    #[must_use]
    pub const fn is(&self, pid: u32) -> bool {
        self.pid == pid || self.identity.pid == pid
    }
}

/// All processes of one job, or all of one user.
#[derive(Clone, Debug, Default)]
pub struct Job {
    /// `CLOCK_REALTIME` of the newest thing known, ns.
    pub as_of: u64,
    /// Processes that recorded, by start.
    pub processes: Vec<Process>,
    /// Processes of the job that never used CUDA; known only where `memtrace run` started the job.
    pub bystanders: Vec<Bystander>,
    /// The only pid to tell of, where one was asked for; of the others only their GPUs' sums.
    pub only: Option<u32>,
    /// What NVML said, oldest first.
    pub readings: Vec<Reading>,
    /// When waves of requests went out to its processes, each after the last one's answers were in and
    /// all was at rest: ns of `CLOCK_MONOTONIC`, oldest first. None where nobody drove them so.
    pub waves: Vec<u64>,
    /// Sentences about the job: files that could not be read, rings removed, room that was short.
    pub notes: Vec<String>,
    /// Processes that lived on after the job.
    pub outlived: Vec<Outlived>,
    /// By when processes were known to have ended, `CLOCK_REALTIME` ns, where somebody watched.
    pub ended_by: BTreeMap<Instance, u64>,
    /// What growth is measured from, where it was asked for.
    pub growing: Option<Growing>,
}

/// A process that lived on after its job. Times are `CLOCK_REALTIME`, ns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outlived {
    /// Which.
    pub instance: Instance,
    /// When the job had ended.
    pub ended: u64,
    /// When the process was seen alive.
    pub seen: u64,
}

impl Job {
    /// Whether to tell of `process`.
    #[must_use]
    pub fn tells_of(&self, process: &Process) -> bool {
        self.only.is_none_or(|pid| process.is(pid))
    }
}
