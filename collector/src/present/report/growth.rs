//! Which lines of code have more live than when a process was warm.

use serde::{Deserialize, Serialize};

/// Sites of a process that have grown since the end of its warm-up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Growth {
    /// When its warm-up ended.
    pub since_ns: u64,
    /// The sites that grew most, by device; most growth first.
    pub sites: Vec<GrowthSite>,
    /// How many more have grown.
    pub others: u64,
    /// By how many bytes, all of them.
    pub others_bytes: u64,
}

/// What a site had live first, and what it has last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrowthSite {
    /// The site.
    pub site: String,
    /// CUDA ordinal in the process.
    pub device: u8,
    /// Bytes at the end of the warm-up.
    pub first_bytes: u64,
    /// Bytes now, or at the process's end.
    pub last_bytes: u64,
    /// Blocks at the end of the warm-up.
    pub first_blocks: u64,
    /// Blocks now, or at the process's end.
    pub last_blocks: u64,
}
