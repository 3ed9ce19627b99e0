//! The report: one structure that the text, the JSON and later views all show.
//!
//! Its JSON is a contract (`docs/report-json.md`): fields are added at the end of a structure, and
//! none changes its meaning. Bytes are bytes; times are `CLOCK_REALTIME`, ns; addresses are
//! lower-case hex with `0x`.

mod device;
mod finding;
mod growth;
mod owner;
mod phases;
mod shared;
mod trend;
mod untracked;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use device::{
    Allocator, Block, ByKind, Device, GraphPoolSite, GraphPools, LooseHandles, Missing, Oom, Peak,
    Segment, SiteUse,
};
pub use finding::{
    Confidence, Evidence, Exhaustion, Finding, FindingInstance, Holder, Pin, Rate, VERDICTS,
};
pub use growth::{Growth, GrowthSite};
pub use owner::{Burst, Owner, SIZES, SizeClass};
pub use phases::{Mark, Phase, PhaseDevice, PhaseSite, Phases, Steps};
pub use shared::{Export, Import, Opener, Peer};
pub use trend::{Course, Direction, Trend};
pub use untracked::{CallCount, UntrackedStep};

/// Number of the contract.
pub const SCHEMA_VERSION: u32 = 1;

/// Everything there is to say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// When the newest thing in it was known.
    pub as_of_ns: u64,
    /// What is wrong, worst first.
    pub findings: Vec<Finding>,
    /// GPUs that a traced process touched or NVML knows.
    pub gpus: Vec<Gpu>,
    /// Processes by start.
    pub processes: Vec<Process>,
    /// Every site that is named elsewhere in the report.
    pub sites: BTreeMap<String, Site>,
    /// Sentences about the report itself: files that could not be read, rings removed.
    pub notes: Vec<String>,
}

/// A GPU and who is on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gpu {
    /// `GPU-` and the UUID as NVML writes it.
    pub uuid: String,
    /// Product name; empty where NVML is not there to say.
    pub name: String,
    /// Memory of the GPU.
    pub total_bytes: u64,
    /// What NVML says is in use; null without NVML.
    pub nvml_used_bytes: Option<u64>,
    /// Traced processes that hold memory there.
    pub processes: Vec<GpuProcess>,
    /// Processes NVML sees and nobody traces.
    pub untraced: Vec<Untraced>,
    /// In use and held by no process above; null without NVML.
    pub unexplained_bytes: Option<u64>,
    /// When NVML said it; null without NVML.
    pub nvml_time_ns: Option<u64>,
}

/// A traced process on a GPU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GpuProcess {
    /// The process.
    pub instance: String,
    /// Its process id.
    pub pid: u32,
    /// What it is in the job.
    pub role: Option<String>,
    /// What it took from the driver there and still has, or had at its end.
    pub reserved_bytes: u64,
    /// What NVML says it uses; null where the driver does not tell.
    pub nvml_bytes: Option<u64>,
}

/// A process nobody traces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Untraced {
    /// Its process id.
    pub pid: u32,
    /// What NVML says it uses; null where the driver does not tell.
    pub nvml_bytes: Option<u64>,
}

/// A process of the job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Random name of the process image, 32 hex digits; null where it left no ledger.
    pub instance: Option<String>,
    /// Process id.
    pub pid: u32,
    /// When it started.
    pub start_time_ns: u64,
    /// Command line, secrets blotted out.
    pub command: String,
    /// What it is in the job.
    pub role: Option<String>,
    /// Whether and how it ended.
    pub state: ProcessState,
    /// Exit code, where known.
    pub exit_code: Option<i32>,
    /// Signal that killed it.
    pub signal: Option<i32>,
    /// Whether it used CUDA.
    pub cuda: bool,
    /// The devices it touched. Of a process that ended: as they were at its end.
    pub devices: Vec<Device>,
    /// Pinned host memory.
    pub pinned_host_bytes: u64,
    /// How much was seen of it, and lost.
    pub events: Events,
    /// What a reader must know about it.
    pub warnings: Vec<String>,
    /// What memory did in the stretches of time that it named.
    pub phases: Phases,
    /// Which sites have grown since the end of its warm-up; null where that was not asked for, or is
    /// not known.
    pub growth: Option<Growth>,
}

/// Whether and how a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProcessState {
    /// It has not.
    Running,
    /// By itself.
    Exited,
    /// By a signal.
    Killed,
    /// Nobody knows how.
    Ended,
}

/// How much was seen of a process, and lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Events {
    /// Events it recorded.
    pub seen: u64,
    /// Events it could not write, or that were damaged.
    pub dropped: u64,
    /// Events overwritten before anybody read them.
    pub overwritten: u64,
    /// Live things that found no room in the live table.
    pub live_overflow: u64,
    /// Bytes of those.
    pub unlisted_bytes: u64,
    /// Calls that were taking or giving back memory when it was looked at, or when it died.
    pub in_flight: u64,
    /// Calls that gave back what was not in the ledger.
    #[serde(default)]
    pub unknown_frees: u64,
    /// Those of them that the driver refused, because it knew no such thing either.
    #[serde(default)]
    pub refused_frees: u64,
}

/// A distinct call stack that allocates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Site {
    /// Innermost first; none where no stack was taken.
    pub frames: Vec<Frame>,
    /// The line of code for a person: the innermost one outside PyTorch and the standard library;
    /// null without a Python stack.
    pub line: Option<String>,
}

/// A frame of a stack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Frame {
    /// A Python function.
    Python {
        /// Qualified name.
        function: String,
        /// File name, as Python has it.
        file: String,
        /// Line; null where Python knows none.
        line: Option<u32>,
    },
    /// Native code.
    Native {
        /// Name, where the file has it and it was asked for.
        function: Option<String>,
        /// Path of the file; null for code made at run time.
        module: Option<String>,
        /// Build-id of the file, hex; null where it has none, is gone, or was replaced.
        build_id: Option<String>,
        /// Offset of the return address in the file, bytes.
        offset: u64,
    },
}
