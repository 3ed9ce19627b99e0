//! What differs between two moments of one run, or between two runs: one structure that the text and
//! the JSON both show.
//!
//! Its JSON is a contract (`docs/diff.md`), by the rules of the report's. Two reports are compared,
//! not two jobs: a saved report is as good as a trace.

mod build;
mod held;

use serde::{Deserialize, Serialize};

pub use build::diff;

use super::report::Site;

/// Number of the contract.
pub const SCHEMA_VERSION: u32 = 1;

/// All that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diff {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// What was compared.
    pub a: Side,
    /// With what.
    pub b: Side,
    /// Whether both are moments of one run: then processes are matched one by one, else by what they
    /// are called.
    pub one_run: bool,
    /// Sites that both know, by the text of their frames.
    pub sites_in_common: u64,
    /// Whether sites are compared: two runs that have none in common are not of the same program.
    pub comparable: bool,
    /// Each process, or all of two runs that are called the same; most change of reserved bytes first.
    pub roles: Vec<RoleChange>,
    /// Reserved bytes by owner, of all processes; most change first.
    pub owners: Vec<OwnerChange>,
    /// Sites whose live bytes or blocks differ, of all processes; most change first. None where two
    /// runs have no site in common.
    pub sites: Vec<SiteChange>,
    /// Sites that have the same live on both sides.
    pub unchanged: Unchanged,
    /// What was taken in a stretch of time before B and is live at B; null for two runs.
    pub survivors: Option<Survivors>,
    /// Phases by process and device; most change first.
    pub phases: Vec<PhaseChange>,
    /// Sentences about the comparison.
    pub notes: Vec<String>,
}

/// One side of a comparison.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Side {
    /// The folder or file.
    pub name: String,
    /// Which moment of it.
    pub moment: String,
    /// When that was.
    pub as_of_ns: u64,
}

/// What a process holds on both sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleChange {
    /// What it is called: its role, else its program.
    pub name: String,
    /// In A; null where it is not there.
    pub a: Option<Held>,
    /// In B.
    pub b: Option<Held>,
}

/// What the processes of a name hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Which processes.
    pub pids: Vec<u32>,
    /// Physical bytes taken from the driver.
    pub reserved_bytes: u64,
    /// Bytes in blocks; null where nothing reports blocks.
    pub allocated_bytes: Option<u64>,
}

/// What an owner holds on both sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnerChange {
    /// The owner.
    pub name: String,
    /// Bytes in A.
    pub a_bytes: u64,
    /// Bytes in B.
    pub b_bytes: u64,
}

/// How a site differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// Nothing of it is live in A.
    New,
    /// Nothing of it is live in B.
    Gone,
    /// More bytes are live in B, or as many in more blocks.
    Grown,
    /// Fewer.
    Shrunk,
}

/// What a site has live on both sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteChange {
    /// The site.
    pub site: Site,
    /// How it differs.
    pub change: Change,
    /// Bytes in A.
    pub a_bytes: u64,
    /// Bytes in B.
    pub b_bytes: u64,
    /// Blocks in A.
    pub a_blocks: u64,
    /// Blocks in B.
    pub b_blocks: u64,
    /// In which processes, by what they are called.
    pub roles: Vec<String>,
}

/// Sites that do not differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unchanged {
    /// How many.
    pub sites: u64,
    /// What they have live.
    pub bytes: u64,
}

/// What was taken in a stretch of time and is live later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Survivors {
    /// Which stretch: a step or a phase that ends at A, or the time from A to B.
    pub born: String,
    /// By site, most bytes first.
    pub sites: Vec<Survivor>,
}

/// What a site has live of what it took then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Survivor {
    /// The site.
    pub site: Site,
    /// Bytes.
    pub bytes: u64,
    /// In how many blocks.
    pub blocks: u64,
    /// In which processes, by what they are called.
    pub roles: Vec<String>,
}

/// A phase on both sides, as far as it had come there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseChange {
    /// The process, by what it is called.
    pub role: String,
    /// The phase.
    pub name: String,
    /// CUDA ordinal in the process.
    pub device: u8,
    /// Until A; null where it did not occur.
    pub a: Option<PhaseFigures>,
    /// Until B.
    pub b: Option<PhaseFigures>,
}

/// What is told of a phase: of several processes the greatest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseFigures {
    /// How often it ended.
    pub count: u64,
    /// Greatest sum of block bytes; null where nothing reports blocks.
    pub peak_allocated_bytes: Option<u64>,
    /// Greatest physical bytes.
    pub peak_reserved_bytes: u64,
    /// What survived the last; null where nothing reports blocks.
    pub survived_bytes: Option<u64>,
}
