//! Out of memory, explained: what was free where, and why it could not serve.
//!
//! What was asked for, what was allocated and reserved, and what the device had free comes from the
//! allocator's own word. How the free memory lay inside its segments is read off the map at the very
//! event ([`Moments`]), and only where the map agrees with that word to the byte.

use std::collections::BTreeMap;

use super::fragmentation::{self, Holder};
use crate::{
    ledger::Event,
    state::{Segment, State},
};

const MIB: u64 = 1 << 20;

/// What PyTorch's allocator asks the driver for at least when no piece of its own serves: for a
/// request of at most [`SMALL`] the first, of less than [`MEDIUM`] the second, else the request
/// rounded up to a multiple of the first. These are its constants in all versions since 1.0.
const SEGMENTS: [u64; 2] = [2 * MIB, 20 * MIB];
const SMALL: u64 = MIB;
const MEDIUM: u64 = 10 * MIB;

/// How much free memory lay inside the allocator's segments when it gave up, and in what pieces.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Room {
    /// Whole free extents. PyTorch gives them back before it gives up, so this is next to nothing.
    pub releasable: u64,
    /// Free bytes in extents that hold a live block.
    pub stranded: u64,
    /// Whole free extents of graphs' pools.
    pub private: u64,
    /// The largest free piece that is not a graph pool's.
    pub largest: u64,
    /// Sum of the free pieces that are not a graph pool's.
    pub free: u64,
    /// Sum of those at least as large as the request.
    pub fitting: u64,
    /// Whose blocks kept it from going back.
    pub holders: Vec<Holder>,
}

impl Room {
    /// The room for a request of so many bytes.
    #[must_use]
    pub fn of<'a>(segments: impl IntoIterator<Item = &'a Segment> + Clone, requested: u64) -> Self {
        let mut room = Self::default();
        let its = |segment: &&Segment| segment.holds_blocks && segment.kind.reserved();
        for segment in segments.clone().into_iter().filter(its) {
            let free = segment.free();
            room.releasable = room.releasable.saturating_add(free.releasable);
            room.stranded = room.stranded.saturating_add(free.stranded);
            room.private = room.private.saturating_add(free.private);
            pieces(segment, |piece| {
                room.free = room.free.saturating_add(piece);
                room.largest = room.largest.max(piece);
                if piece >= requested {
                    room.fitting = room.fitting.saturating_add(piece);
                }
            });
        }
        room.holders = fragmentation::holders(&fragmentation::map(segments, u64::MAX).pins);
        room
    }

    /// The share of the free memory that lay in pieces too small, in percent: the unusable free
    /// space index of Gorman. `None` where nothing was free.
    #[must_use]
    pub fn unusable(&self) -> Option<u64> {
        let unusable = u128::from(self.free - self.fitting.min(self.free)) * 100;
        unusable.checked_div(u128::from(self.free)).map(|share| share as u64)
    }
}

/// The free pieces of a segment that lie in no graph's pool. A piece may go over several extents: the
/// allocator joins what lies side by side.
fn pieces(segment: &Segment, mut each: impl FnMut(u64)) {
    let mut blocks = segment.blocks.iter().peekable();
    // End of the last block so far, and bytes of the piece that is being gone through.
    let (mut covered, mut piece) = (segment.start, 0_u64);
    for extent in &segment.extents {
        let end = extent.start.saturating_add(extent.size);
        let mut at = extent.start.max(covered);
        if extent.private || extent.physical == 0 {
            each(std::mem::take(&mut piece));
            at = end.max(at);
        }
        while let Some(block) = blocks.next_if(|block| block.address < end) {
            piece = piece.saturating_add(block.address.saturating_sub(at));
            each(std::mem::take(&mut piece));
            covered = covered.max(block.address.saturating_add(block.size));
            at = at.max(covered);
        }
        piece = piece.saturating_add(end.saturating_sub(at));
    }
    each(piece);
}

/// What is known of a moment at which the allocator gave up.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Moment {
    /// Physical bytes the process had on the device, whoever asked for them.
    pub reserved: u64,
    /// How PyTorch's free memory lay; `None` where the map does not agree with the allocator.
    pub room: Option<Room>,
}

/// The moments at which the allocator gave up.
#[derive(Clone, Debug)]
pub struct Moments {
    /// By position of the event.
    moments: BTreeMap<u64, Moment>,
    /// Blocks and extents that may still be looked at.
    budget: usize,
}

/// Blocks and extents looked at per process: about a second's work. A program that catches its
/// out-of-memory errors in a loop has its last ones told without the map.
const BUDGET: usize = 1 << 24;
/// Moments kept at most, the last ones; no fewer than the events that are kept.
const KEPT: usize = 1024;

impl Default for Moments {
    fn default() -> Self {
        Self { moments: BTreeMap::new(), budget: BUDGET }
    }
}

impl Moments {
    /// The allocator has given up; `state` is that of the moment.
    pub fn gave_up(&mut self, state: &State, event: &Event) {
        let record = &event.record;
        let totals = state.totals(record.device);
        let known = (totals.allocated, totals.allocator_reserved) == (record.address, record.aux);
        let room = (known && self.budget > 0).then(|| {
            let segments = state.segments(record.device);
            let seen: usize = segments.iter().map(|s| 1 + s.extents.len() + s.blocks.len()).sum();
            self.budget = self.budget.saturating_sub(seen);
            Room::of(&segments, record.size)
        });
        self.moments.insert(event.position, Moment { reserved: totals.reserved(), room });
        if self.moments.len() > KEPT {
            self.moments.pop_first();
        }
    }

    /// What is known of the moment of an event.
    #[must_use]
    pub fn at(&self, event: &Event) -> Option<&Moment> {
        self.moments.get(&event.position)
    }
}

/// A request that failed, and what was free for it. Bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// What was asked for.
    pub bytes: u64,
    /// What the device had free; `None` where it did not tell.
    pub device_free: Option<u64>,
    /// Memory of the device.
    pub total: u64,
    /// What the process had in use: live blocks, and what others than PyTorch took in it.
    pub in_use: u64,
    /// What other processes are known to have held.
    pub others: u64,
}

/// Why it could not be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// A free piece was large enough, but the allocator keeps it for something else.
    KeptApart,
    /// The device had enough free: the process may not have it.
    Limit,
    /// With what is in use it is more than the device has.
    TooLarge,
    /// Enough was free in all, in pieces too small.
    Fragmentation,
    /// What other processes hold would have been enough.
    OtherProcesses,
    /// None of these.
    Lack,
}

impl Cause {
    /// Its name in the JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::KeptApart => "kept apart",
            Self::Limit => "limit",
            Self::TooLarge => "too large",
            Self::Fragmentation => "fragmentation",
            Self::OtherProcesses => "other processes",
            Self::Lack => "lack",
        }
    }
}

/// Why a request failed. Of several reasons the one that stands first in [`Cause`].
#[must_use]
pub fn cause(request: &Request, room: Option<&Room>) -> Cause {
    let bytes = request.bytes;
    let free = request.device_free.unwrap_or(0);
    let inside = room.map_or(0, |room| room.free);
    if room.is_some_and(|room| bytes > 0 && room.fitting > 0) {
        Cause::KeptApart
    } else if request.device_free.is_some() && free >= segment(bytes) {
        Cause::Limit
    } else if request.total > 0 && request.in_use.saturating_add(bytes) > request.total {
        Cause::TooLarge
    } else if inside > 0 && inside.saturating_add(free) >= bytes {
        Cause::Fragmentation
    } else if request.others >= bytes.saturating_sub(free) && request.others > 0 {
        Cause::OtherProcesses
    } else {
        Cause::Lack
    }
}

/// What the allocator asks the driver for.
const fn segment(bytes: u64) -> u64 {
    match bytes {
        0..=SMALL => SEGMENTS[0],
        _ if bytes < MEDIUM => SEGMENTS[1],
        _ => bytes.div_ceil(SEGMENTS[0]).saturating_mul(SEGMENTS[0]),
    }
}
