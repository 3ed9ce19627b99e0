//! The report: one structure that the text, the JSON and later views all show.
//!
//! Its JSON is a contract (`docs/report-json.md`): fields are added at the end of a structure, and
//! none changes its meaning. Bytes are bytes; times are `CLOCK_REALTIME`, ns; addresses are
//! lower-case hex with `0x`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

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

/// Something wrong, or worth knowing. Processes with the same verdict at the same site are one
/// finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Which rule spoke: `out-of-memory`, `creep`, `fragmentation` or `wrong-card`.
    pub verdict: String,
    /// How sure it is.
    pub confidence: Confidence,
    /// Where it holds, most bytes first.
    pub instances: Vec<FindingInstance>,
    /// Sum of the instances' bytes.
    pub bytes: u64,
    /// The site that took most of them.
    pub site: String,
    /// What is wrong, for a person.
    pub text: String,
    /// What to do about it.
    pub advice: String,
    /// Bytes of it that `empty_cache()` in those processes would give back now.
    pub releasable_bytes: u64,
    /// When it began, at the earliest instance.
    pub since_ns: u64,
    /// Why, where the rule tells reasons apart; docs/findings.md names them.
    pub cause: Option<String>,
    /// How fast it grows; null where it does not, or where that cannot be told.
    pub rate: Option<Rate>,
    /// The numbers it rests on, of the instance with most bytes.
    pub evidence: Vec<Evidence>,
    /// Whose blocks keep memory from going back, greatest leverage first; of the instance with most
    /// bytes.
    pub pins: Vec<Pin>,
}

/// How fast something grows, bytes an hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// The middle of what was seen.
    pub bytes_per_hour: u64,
    /// One stretch in ten was slower.
    pub low: u64,
    /// One stretch in ten was faster.
    pub high: u64,
}

/// A number that a finding rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// What it is the number of.
    pub what: String,
    /// The number.
    pub value: u64,
    /// What it had to reach; null where it only explains.
    pub limit: Option<u64>,
    /// `bytes`, `percent`, or what is counted.
    pub unit: String,
}

/// Blocks of one site that keep memory from going back: each is the only live one in an extent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// The site.
    pub site: String,
    /// How many.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What they keep.
    pub stranded_bytes: u64,
}

/// How sure a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// Act.
    Alert,
    /// Look.
    Suspect,
    /// Know.
    Info,
}

/// One process and device a finding holds for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindingInstance {
    /// The process.
    pub instance: String,
    /// Its CUDA ordinal.
    pub device: u8,
    /// What it is in the job.
    pub role: Option<String>,
    /// Bytes at stake there.
    pub bytes: u64,
    /// Its process id.
    pub pid: u32,
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
    /// Random name of the process image, 32 hex digits; null where `cuda` is false.
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
}

/// Phases and marks of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phases {
    /// Since when they are known; null if from its beginning.
    pub known_since_ns: Option<u64>,
    /// The phase that is its step; null where nothing repeats like that.
    pub steps: Option<Steps>,
    /// Phases by name; most time first.
    pub phases: Vec<Phase>,
    /// Marked moments by name.
    pub marks: Vec<Mark>,
    /// Ends of phases whose begin was not seen.
    pub ends_without_begin: u64,
}

/// The repeated phase that tiles a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Steps {
    /// Name of the phase.
    pub name: String,
    /// How many have ended.
    pub count: u64,
}

/// The phases of a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phase {
    /// The name; `*` stands for many numbers.
    pub name: String,
    /// Phases that began and ended.
    pub count: u64,
    /// Time in them.
    pub time_ns: u64,
    /// The longest.
    pub longest_ns: u64,
    /// Begin of the first; null if nothing is known of it.
    pub first_ns: Option<u64>,
    /// End of the last; null if none has ended.
    pub last_ns: Option<u64>,
    /// Open at the end.
    pub open: u64,
    /// Those of `count` that ended only with the phase around them.
    pub unended: u64,
    /// Not followed: events were lost, or too many phases were open. Not in `count`.
    pub cut: u64,
    /// What happened in them, by device.
    pub devices: Vec<PhaseDevice>,
}

/// What happened on a device in the phases of a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseDevice {
    /// CUDA ordinal in the process.
    pub device: u8,
    /// Greatest sum of block bytes; null where nothing reports blocks.
    pub peak_allocated_bytes: Option<u64>,
    /// When; null where there was no block.
    pub peak_time_ns: Option<u64>,
    /// Blocks live then, most bytes first.
    pub peak_sites: Vec<PhaseSite>,
    /// Greatest physical bytes.
    pub peak_reserved_bytes: u64,
    /// Bytes of blocks taken in the last one and live at its end; null where nothing reports blocks.
    pub survived_bytes: Option<u64>,
    /// How many blocks.
    pub survived_blocks: Option<u64>,
    /// Who took them, most bytes first.
    pub survivor_sites: Vec<PhaseSite>,
    /// Most bytes that survived any of them.
    pub most_survived_bytes: Option<u64>,
}

/// Blocks of a site in a phase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseSite {
    /// The site.
    pub site: String,
    /// Bytes.
    pub bytes: u64,
    /// In how many blocks.
    pub blocks: u64,
}

/// Marked moments of a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The name; `*` stands for many numbers.
    pub name: String,
    /// How many.
    pub count: u64,
    /// The first.
    pub first_ns: u64,
    /// The last.
    pub last_ns: u64,
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

/// What a process holds on one device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// CUDA ordinal in the process.
    pub device: u8,
    /// The GPU.
    pub uuid: String,
    /// Physical bytes taken from the driver.
    pub reserved_bytes: u64,
    /// Greatest value of it.
    pub peak_reserved_bytes: u64,
    /// `reserved_bytes`, by how they were taken.
    pub by_kind: ByKind,
    /// Sites with live blocks, or live memory nobody divides into blocks; most bytes first.
    pub sites: Vec<SiteUse>,
    /// The moment with most bytes live.
    pub peak: Peak,
    /// Another process's memory, opened here; not in `reserved_bytes`.
    pub imported_bytes: u64,
    /// Managed memory; may exceed the card, and is not in `reserved_bytes`.
    pub managed_bytes: u64,
    /// What NVML says the process uses there; null where the driver does not tell.
    pub nvml_bytes: Option<u64>,
    /// `reserved_bytes`, by who asked; most bytes first.
    pub owners: Vec<Owner>,
    /// Owners whose blocks are known; most bytes first.
    pub allocators: Vec<Allocator>,
    /// Times PyTorch's allocator gave up, oldest first.
    pub ooms: Vec<Oom>,
    /// The segment map; only where asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segments: Option<Vec<Segment>>,
    /// Live blocks that lie in no segment, by address: all of each is unbacked; only where segments
    /// were asked for.
    pub unbacked_blocks: Option<Vec<Block>>,
}

/// Bytes by how they were taken from the driver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByKind {
    /// `cuMemAlloc` and its like.
    pub linear: u64,
    /// `cuMemCreate`.
    pub vmm: u64,
    /// Reserves of stream-ordered pools.
    pub pool: u64,
    /// Arrays and mipmapped arrays.
    pub array: u64,
    /// Graph allocation nodes.
    pub graph: u64,
}

/// What a site has live.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteUse {
    /// The site.
    pub site: String,
    /// Bytes.
    pub live_bytes: u64,
    /// In how many blocks.
    pub blocks: u64,
    /// Bytes of them in graph pools; null where nobody keeps that: at the peak.
    pub graph_pool_bytes: Option<u64>,
    /// Bytes of those blocks that have no physical memory anywhere below them; null at the peak.
    pub unbacked_bytes: Option<u64>,
}

/// The moment with most bytes live.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peak {
    /// When.
    pub time_ns: u64,
    /// What was live then, most bytes first; null where nobody was there to keep it.
    pub sites: Option<Vec<SiteUse>>,
}

/// Who asked the driver for memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// `torch`, a library's file name, or the program's.
    pub name: String,
    /// Bytes.
    pub bytes: u64,
}

/// An owner whose blocks are known. Always
/// `reserved - allocated + unbacked = stranded + releasable + private`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allocator {
    /// The owner.
    pub name: String,
    /// How it gets its memory: `native`, `expandable` or `cudaMallocAsync`; null where nothing
    /// tells.
    pub backend: Option<String>,
    /// Physical bytes.
    pub reserved_bytes: u64,
    /// Bytes in live blocks; null where nothing reports blocks.
    pub allocated_bytes: Option<u64>,
    /// Greatest value of `reserved_bytes`.
    pub peak_reserved_bytes: u64,
    /// Greatest value of `allocated_bytes`.
    pub peak_allocated_bytes: Option<u64>,
    /// Live block bytes with no physical memory behind them.
    pub unbacked_bytes: u64,
    /// Free bytes in extents that hold a live block byte.
    pub stranded_bytes: u64,
    /// Whole free extents: what `empty_cache()` would give back.
    pub releasable_bytes: u64,
    /// Whole free extents of a graph capture's pool.
    pub private_bytes: u64,
    /// What of all this lies in graph pools.
    pub graph_pools: GraphPools,
}

/// Extents that were taken while a graph was captured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GraphPools {
    /// Physical bytes.
    pub reserved_bytes: u64,
    /// Bytes of them with a live block over them.
    pub allocated_bytes: u64,
    /// Who took them, most bytes first.
    pub sites: Vec<GraphPoolSite>,
}

/// What a site took from the driver for graph pools.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GraphPoolSite {
    /// The site.
    pub site: String,
    /// Physical bytes.
    pub bytes: u64,
    /// In how many extents.
    pub extents: u64,
}

/// A time PyTorch's allocator gave up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Oom {
    /// When.
    pub time_ns: u64,
    /// Bytes it was asked for.
    pub requested_bytes: u64,
    /// Bytes in live blocks then.
    pub allocated_bytes: u64,
    /// Bytes it had reserved then.
    pub reserved_bytes: u64,
    /// Bytes free on the device then.
    pub device_free_bytes: u64,
    /// Who asked.
    pub site: String,
}

/// A piece of the segment map.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// First byte; the handle of memory that is mapped nowhere.
    pub address: String,
    /// Bytes.
    pub size: u64,
    /// `linear`, `vmm`, `pool`, `managed`, `array`, `graph` or `imported`.
    pub kind: String,
    /// Who asked for it.
    pub owner: String,
    /// In how many pieces the driver gave it.
    pub extents: u64,
    /// Bytes of it that `empty_cache()` would give back.
    pub releasable_bytes: u64,
    /// Free bytes of it beside a live block.
    pub stranded_bytes: u64,
    /// Who took its oldest extent.
    pub site: String,
    /// The live blocks in it, by address.
    pub blocks: Vec<Block>,
    /// Whole free extents of it that belong to a graph capture's pool, bytes.
    pub private_bytes: u64,
}

/// A live block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// First byte.
    pub address: String,
    /// Bytes.
    pub size: u64,
    /// Who asked for it.
    pub site: String,
    /// When.
    pub time_ns: u64,
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
