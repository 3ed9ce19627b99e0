//! Pools that the program destroyed while something lay in them: their reserve goes with the last block.
//!
//! Which blocks lie in a pool only the whole table tells. So the table is looked through once, when the
//! pool is destroyed, and from then on its blocks are counted down.

use core::sync::atomic::{
    AtomicI64, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

use wire::{
    live::{Entry, FLAG_RELEASED, State},
    record::Class,
};

use super::{Ledger, Now};

/// Pools that can be on their way at a time; one more goes at once, with what lies in it.
const POOLS: usize = 16;

/// One pool on its way.
struct Place {
    /// Its ordinal and its entry; 0 while the place is free.
    pool: AtomicU64,
    /// Blocks left in it, or fewer: one may end after it was not counted. At 0 they are counted anew.
    blocks: AtomicI64,
}

/// The pools on their way.
pub struct Leaving {
    places: [Place; POOLS],
    taken: AtomicU64,
}

impl Leaving {
    pub const fn new() -> Self {
        let places =
            [const { Place { pool: AtomicU64::new(0), blocks: AtomicI64::new(0) } }; POOLS];
        Self { places, taken: AtomicU64::new(0) }
    }
}

const fn name(ordinal: u16, index: u32) -> u64 {
    (ordinal as u64) << 32 | index as u64
}

impl Ledger<'_> {
    fn blocks_in(&self, ordinal: u16) -> i64 {
        let table = self.live.table();
        let count = (0..u32::try_from(table.capacity()).unwrap_or(u32::MAX)).filter(|index| {
            let entry = table.get(*index);
            entry.is_some_and(|(_, entry)| is_in(&entry, ordinal))
        });
        i64::try_from(count.count()).unwrap_or(i64::MAX)
    }

    /// The pool with the entry `index` was destroyed. Whether it stays until its blocks have gone.
    pub(super) fn leaves(&self, now: &Now, index: u32, pool: &Entry) -> bool {
        if pool.link == 0 || self.blocks_in(pool.link) == 0 {
            return false;
        }
        let claim = |place: &&Place| {
            let pool = name(pool.link, index);
            place.pool.compare_exchange(0, pool, AcqRel, Relaxed).is_ok()
        };
        let Some(place) = self.leaving.places.iter().find(claim) else { return false };
        self.leaving.taken.fetch_add(1, Release);
        // As with a handle: first the flag, for as soon as the entry is valid it can be found.
        self.live.table().flag(index, FLAG_RELEASED);
        self.live.table().shift(index, State::Freeing, State::Valid);
        self.recount(now, place);
        true
    }

    /// Counts the blocks of a pool on its way, and ends it if there is none.
    fn recount(&self, now: &Now, place: &Place) {
        let pool = place.pool.load(Acquire);
        if pool == 0 {
            return;
        }
        let (ordinal, index) = ((pool >> 32) as u16, pool as u32);
        let mut before = place.blocks.load(Acquire);
        loop {
            let left = self.blocks_in(ordinal);
            if left == 0 {
                break;
            }
            // Counted once more if a block ended meanwhile.
            match place.blocks.compare_exchange(before, left, AcqRel, Acquire) {
                Ok(_) => return,
                Err(other) => before = other,
            }
        }
        if place.pool.compare_exchange(pool, 0, AcqRel, Relaxed).is_err() {
            return;
        }
        self.leaving.taken.fetch_sub(1, Relaxed);
        if let Some((_, entry)) = self.live.table().get(index)
            && self.live.end(index, State::Valid)
        {
            self.count_given(now, &entry);
        }
    }

    /// A block ended: the last one takes along a pool that is on its way.
    pub(super) fn block_ended(&self, now: &Now, block: &Entry) {
        if self.leaving.taken.load(Acquire) == 0 || block.link == 0 {
            return;
        }
        let is_its = |place: &&Place| place.pool.load(Acquire) >> 32 == u64::from(block.link);
        if let Some(place) = self.leaving.places.iter().find(is_its)
            && place.blocks.fetch_sub(1, AcqRel) <= 1
        {
            self.recount(now, place);
        }
    }
}

fn is_in(entry: &Entry, ordinal: u16) -> bool {
    matches!(entry.class, Class::PoolBlock) && entry.link == ordinal
}
