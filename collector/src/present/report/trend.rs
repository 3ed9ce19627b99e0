//! How what a process holds on a device went.

use serde::{Deserialize, Serialize};

/// How what a process holds on a device went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trend {
    /// What it is counted in: `minute` or `step`.
    pub unit: String,
    /// So many were watched.
    pub units: u64,
    /// So many it takes to tell a leak.
    pub enough: u64,
    /// Bytes in blocks.
    pub allocated: Course,
    /// Physical bytes.
    pub reserved: Course,
}

/// How a figure went after the start of the run, by its least value in each stretch of time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Course {
    /// In one word.
    pub verdict: Direction,
    /// By how much it grew, where it grows or grew in one step; else null.
    pub bytes: Option<u64>,
    /// Since when, or when that was; else null.
    pub since_ns: Option<u64>,
    /// Whose live blocks are most of those taken while it grew; of growth in one step only if they are
    /// most of that; else null.
    pub site: Option<String>,
}

/// A course in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// Too little was seen after the start.
    NotEnough,
    /// Nothing rises above the noise.
    Level,
    /// It grows.
    Growing,
    /// It grew once.
    Step,
    /// It grew, and less and less.
    Saturating,
    /// It comes and goes.
    Periodic,
}
