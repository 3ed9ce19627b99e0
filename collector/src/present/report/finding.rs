//! What is wrong, or worth knowing.

use serde::{Deserialize, Serialize};

/// The names of all verdicts. Each has its section in `docs/findings.md`.
pub const VERDICTS: [&str; 11] = [
    "out-of-memory",
    "leak",
    "growth",
    "retained",
    "creep",
    "fragmentation",
    "incomplete-release",
    "ipc-pin",
    "wrong-card",
    "dead-holder",
    "untracked",
];

/// Something wrong, or worth knowing. Processes with the same verdict at the same site are one
/// finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Which rule spoke: one of [`VERDICTS`].
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
    /// When the device's memory is used up if it goes on; null where it does not grow, where that is
    /// more than a week away, or where the process has ended.
    pub exhausted: Option<Exhaustion>,
    /// Name of the phase in which it happens: the sleep, or the one that its blocks survived; null where
    /// there is none.
    pub phase: Option<String>,
    /// Whose memory it is, most bytes first, where the rule looks at it; of the instance with most bytes.
    pub holders: Vec<Holder>,
}

/// When a device's memory is used up, `CLOCK_REALTIME` ns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exhaustion {
    /// At the upper limit of the rate.
    pub earliest_ns: u64,
    /// At the lower one; null where that is more than a week away.
    pub latest_ns: Option<u64>,
}

/// Memory of one site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The site.
    pub site: String,
    /// `torch`, or the library that took it; of an IPC pin the process that has it open.
    pub owner: String,
    /// Bytes.
    pub bytes: u64,
    /// In how many blocks.
    pub blocks: u64,
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
    /// Bytes a step in the middle, where the rule counts in steps; else null.
    pub bytes_per_step: Option<u64>,
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
