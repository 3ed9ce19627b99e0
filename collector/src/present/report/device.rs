//! What a process holds on one device.

use serde::{Deserialize, Serialize};

use super::{Export, Import, Owner, Trend, UntrackedStep};

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
    /// How what it holds there went; null where nothing was seen of that.
    pub trend: Option<Trend>,
    /// `imported_bytes` by whose they are, most bytes first.
    pub imports: Vec<Import>,
    /// What of this process's memory was handed to others, most bytes first.
    pub exports: Vec<Export>,
    /// Physical memory that is mapped nowhere, or whose handle was released; most bytes first.
    pub loose_handles: Vec<LooseHandles>,
    /// When what no call took rose, oldest first.
    pub untracked_steps: Vec<UntrackedStep>,
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
    /// When the oldest was taken; null where there is none.
    pub since_ns: Option<u64>,
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

/// What a handle needs to be used, and lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Missing {
    /// It is mapped nowhere and bound to nothing.
    Mapping,
    /// The program released it, and only mappings and bindings keep it.
    Name,
}

/// Handles that one site took and that lack the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LooseHandles {
    /// What they lack.
    pub missing: Missing,
    /// Who took them from the driver.
    pub site: String,
    /// Bytes.
    pub bytes: u64,
    /// How many.
    pub handles: u64,
    /// When the oldest was taken.
    pub since_ns: u64,
}
