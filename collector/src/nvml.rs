//! What NVML sees of the GPUs: totals without a cause, to set the ledgers against.

use serde::{Deserialize, Serialize};

/// All GPUs at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Reading {
    /// `CLOCK_REALTIME`, ns.
    pub time: u64,
    /// By NVML index.
    pub gpus: Vec<Gpu>,
}

/// One GPU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gpu {
    /// UUID as two words, in the byte order of [`crate::ledger::Gauges::uuid`].
    pub uuid: [u64; 2],
    /// Product name.
    pub name: String,
    /// Memory, bytes.
    pub total: u64,
    /// Memory in use by anybody, bytes.
    pub used: u64,
    /// Processes on it; bytes are `None` where the driver does not tell.
    pub processes: Vec<(u32, Option<u64>)>,
}
