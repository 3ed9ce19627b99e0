//! How what no call took came about.

use serde::{Deserialize, Serialize};

/// A rise of what NVML counts for a process beside what its calls took.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UntrackedStep {
    /// Bytes.
    pub bytes: u64,
    /// The last reading before it; for the first, when the process began to use CUDA.
    pub from_ns: u64,
    /// The first reading after it.
    pub until_ns: u64,
    /// What the process did between the two that may take memory no call tells; where that is nothing,
    /// what returned within 0.2 seconds of the second, and so was under way.
    pub calls: Vec<CallCount>,
}

/// Calls of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallCount {
    /// What each did, as `module loaded`.
    pub what: String,
    /// How many.
    pub count: u64,
}
