//! Fragmentation: memory that lies free beside live blocks, and the blocks that keep it there.
//!
//! ```text
//! extent   ▏██░░░░░░░░░░░░░░░░▕   one live block: its pin. leverage = free ÷ size of the block
//! extent   ▏██░░░░░██░░░░░░░░░▕   shared: no single block gives it back
//! extent   ▏░░░░░░░░░░░░░░░░░░▕   releasable: not stranded
//! ```
//!
//! *Stranded* is the sum over all extents that hold a live block byte, however full they are. At a
//! moment in the midst of a request much of it is in use again before the request ends, so two
//! things must hold before it is a finding:
//!
//! - it is *settled*: all blocks of the extent were there at a moment of [`Rest`] already, when the
//!   requests before had given back what they took;
//! - it was *idle* all the time: when most was in use, so much of what is reserved was not.
//!
//! Extents of graphs' pools are left out: a graph writes to its pool's free memory when it is
//! replayed. So are the reserves of stream-ordered pools, which the driver divides as it likes.

use super::swing::Rest;
use crate::state::{Block, Extent, Kind, Segment, Site};

const MIB: u64 = 1 << 20;

/// Least bytes: below it nobody runs out of memory for it.
pub const DEFAULT_STRANDED: u64 = 1024 * MIB;
/// Least bytes as a share of the device, one in so many: what hurts on a small card is noise on a
/// large one.
pub const DEFAULT_STRANDED_SHARE: u64 = 20;
/// What the extents that a site pins must have free to be listed, bytes. It shortens the list and
/// nothing else.
pub const DEFAULT_LISTED: u64 = 64 * MIB;
/// How full those extents may be at most, one in so many: what is mostly full is well used.
pub const DEFAULT_LISTED_SHARE: u64 = 4;

/// A block that alone keeps extents from going back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pin {
    /// The block.
    pub block: Block,
    /// Free bytes in the extents where it is the only live block.
    pub stranded: u64,
}

/// What lies stranded in the memory of PyTorch's allocator.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Map {
    /// Free bytes in extents that hold a live block byte.
    pub stranded: u64,
    /// Those of extents in which no block is younger than the moment of rest.
    pub settled: u64,
    /// Blocks that are alone in an extent, greatest leverage first.
    pub pins: Vec<Pin>,
    /// Free bytes in extents with several live blocks, and how many extents that are.
    pub shared: (u64, u64),
}

/// Lays the blocks over the extents. Before `rest`, ns of `CLOCK_MONOTONIC`, a block must have been
/// there for its extent to count as settled.
#[must_use]
pub fn map<'a>(segments: impl IntoIterator<Item = &'a Segment> + Clone, rest: u64) -> Map {
    let blocks = blocks(segments.clone());
    let mut pinned = vec![0_u64; blocks.len()];
    let mut map = Map::default();
    for extent in extents(segments) {
        let free = extent.free().stranded;
        let (first, last) = touching(&blocks, extent);
        let over = &blocks[first..last];
        if free == 0 || over.is_empty() {
            continue;
        }
        map.stranded = map.stranded.saturating_add(free);
        if over.iter().all(|block| block.birth <= rest) {
            map.settled = map.settled.saturating_add(free);
        }
        match over {
            [_] => pinned[first] = pinned[first].saturating_add(free),
            _ => map.shared = (map.shared.0.saturating_add(free), map.shared.1 + 1),
        }
    }
    let pins = blocks.iter().zip(pinned).filter(|(_, stranded)| *stranded > 0);
    map.pins = pins.map(|(block, stranded)| Pin { block: *block, stranded }).collect();
    map.pins.sort_by_key(|pin| (std::cmp::Reverse(leverage(*pin)), pin.block.address));
    map
}

/// How much a byte of the block keeps, in thousandths.
fn leverage(pin: Pin) -> u128 {
    u128::from(pin.stranded) * 1000 / u128::from(pin.block.size.max(1))
}

/// The blocks by address.
fn blocks<'a>(segments: impl IntoIterator<Item = &'a Segment>) -> Vec<Block> {
    let mut blocks: Vec<Block> = segments
        .into_iter()
        .filter(|segment| segment.kind != Kind::Pool)
        .flat_map(|segment| segment.blocks.iter().copied())
        .collect();
    blocks.sort_by_key(|block| block.address);
    blocks
}

/// The extents of PyTorch's allocator that it can use for any request.
fn extents<'a>(
    segments: impl IntoIterator<Item = &'a Segment>,
) -> impl Iterator<Item = &'a Extent> {
    let its = |segment: &&'a Segment| {
        segment.holds_blocks && segment.kind.reserved() && segment.kind != Kind::Pool
    };
    segments.into_iter().filter(its).flat_map(|segment| &segment.extents).filter(|e| !e.private)
}

/// The range of blocks, which are in order and apart, with a byte in `extent`.
fn touching(blocks: &[Block], extent: &Extent) -> (usize, usize) {
    let end = extent.start.saturating_add(extent.size);
    let ends = |block: &Block| block.address.saturating_add(block.size);
    let first = blocks.partition_point(|block| ends(block) <= extent.start);
    let last = blocks.partition_point(|block| block.address < end);
    (first, last.max(first))
}

/// Memory is stranded, and stays so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What is settled, bytes.
    pub bytes: u64,
    /// What it had to reach.
    pub limit: u64,
    /// What of the reserved was in no block when most was in use, since requests are as they are.
    pub idle_at_peak: u64,
    /// Where it lies.
    pub map: Map,
}

/// What the detector says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Less than the limit is stranded, or it is used.
    Fine,
    /// It is stranded.
    Stranded(Finding),
    /// No moment of rest is known yet: a request may be under way.
    NotEnough,
}

/// Judges the memory of one device with `total` bytes, of which PyTorch's allocator holds
/// `reserved`.
#[must_use]
pub fn check<'a>(
    segments: impl IntoIterator<Item = &'a Segment> + Clone,
    reserved: u64,
    total: u64,
    rest: Option<Rest>,
) -> Verdict {
    let Some(rest) = rest else { return Verdict::NotEnough };
    let limit = DEFAULT_STRANDED.max(total / DEFAULT_STRANDED_SHARE);
    let idle_at_peak = reserved.saturating_sub(rest.peak);
    if idle_at_peak < limit {
        return Verdict::Fine;
    }
    let map = map(segments, rest.time);
    match map.settled {
        bytes if bytes < limit => Verdict::Fine,
        bytes => Verdict::Stranded(Finding { bytes, limit, idle_at_peak, map }),
    }
}

/// What the blocks of one site keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Holder {
    /// The site.
    pub site: Site,
    /// How many blocks of it are alone in an extent.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What they keep from going back.
    pub stranded: u64,
}

/// The pins by site, greatest leverage first. Only what is worth a line: where that leaves none, the
/// site that keeps most.
#[must_use]
pub fn holders(pins: &[Pin]) -> Vec<Holder> {
    let mut by_site = std::collections::BTreeMap::<Site, Holder>::new();
    for pin in pins {
        let holder = by_site.entry(pin.block.site).or_default();
        holder.site = pin.block.site;
        holder.blocks += 1;
        holder.bytes = holder.bytes.saturating_add(pin.block.size);
        holder.stranded = holder.stranded.saturating_add(pin.stranded);
    }
    let most = by_site.values().max_by_key(|holder| holder.stranded).copied();
    let is_listed = |holder: &Holder| {
        let whole = holder.bytes.saturating_add(holder.stranded);
        holder.stranded >= DEFAULT_LISTED && holder.bytes <= whole / DEFAULT_LISTED_SHARE
    };
    let mut holders: Vec<Holder> = by_site.into_values().filter(is_listed).collect();
    if holders.is_empty() {
        holders.extend(most);
    }
    let leverage =
        |holder: &Holder| u128::from(holder.stranded) * 1000 / u128::from(holder.bytes.max(1));
    holders.sort_by_key(|holder| std::cmp::Reverse(leverage(holder)));
    holders
}
