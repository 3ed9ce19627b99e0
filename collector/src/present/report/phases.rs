//! What memory did in the named stretches of a process's time.

use serde::{Deserialize, Serialize};

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
