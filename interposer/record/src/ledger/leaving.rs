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

/// What stands in a place that somebody just took.
const CLAIMED: u64 = u64::MAX;
/// What a place's blocks are while somebody counts them, less those that end meanwhile.
const COUNTING: i64 = 1 << 62;

/// One pool on its way.
struct Place {
    /// Its ordinal and its entry; 0 while the place is free.
    pool: AtomicU64,
    /// Blocks left in it, or fewer: one may end while they are counted. Who brings it to 0 counts anew,
    /// and nobody besides.
    blocks: AtomicI64,
}

/// The pools on their way.
pub struct Leaving {
    places: [Place; POOLS],
    taken: AtomicU64,
}

impl Leaving {
    pub const fn new() -> Self {
        Self { places: [const { Place::new() }; POOLS], taken: AtomicU64::new(0) }
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
        let claim =
            |place: &&Place| place.pool.compare_exchange(0, CLAIMED, AcqRel, Relaxed).is_ok();
        let Some(place) = self.leaving.places.iter().find(claim) else { return false };
        place.blocks.store(COUNTING, Relaxed);
        // Pairs with the acquire load in `block_ended`.
        place.pool.store(name(pool.link, index), Release);
        self.leaving.taken.fetch_add(1, Release);
        // As with a handle: first the flag, for as soon as the entry is valid it can be found.
        self.live.table().flag(index, FLAG_RELEASED);
        self.live.table().shift(index, State::Freeing, State::Valid);
        self.count_blocks(now, place);
        true
    }

    /// Counts the blocks of a pool on its way, and ends it if there is none.
    fn count_blocks(&self, now: &Now, place: &Place) {
        let pool = place.pool.load(Acquire);
        let (ordinal, index) = ((pool >> 32) as u16, pool as u32);
        if !place.is_empty(|| self.blocks_in(ordinal)) {
            return;
        }
        place.pool.store(0, Release);
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
            && place.has_one_less()
        {
            self.count_blocks(now, place);
        }
    }
}

impl Place {
    const fn new() -> Self {
        Self { pool: AtomicU64::new(0), blocks: AtomicI64::new(0) }
    }

    /// Whether `count` finds no block. However many end meanwhile, it does not count again for that: to walk
    /// through the table takes longer than the next one.
    fn is_empty(&self, mut count: impl FnMut() -> i64) -> bool {
        loop {
            let left = count();
            if left == 0 {
                return true;
            }
            let step = left.wrapping_sub(COUNTING);
            let after = self.blocks.fetch_add(step, AcqRel).wrapping_add(step);
            // As many ended as were left: the last one may be among them.
            if after > 0 || !self.is_to_count(after) {
                return false;
            }
        }
    }

    /// A block ended: whether it is for the caller to count anew.
    fn has_one_less(&self) -> bool {
        let after = self.blocks.fetch_sub(1, AcqRel).wrapping_sub(1);
        after <= 0 && self.is_to_count(after)
    }

    /// Whether it is for the caller, who left `blocks`, to count: else another thread went on from there.
    fn is_to_count(&self, blocks: i64) -> bool {
        self.blocks.compare_exchange(blocks, COUNTING, AcqRel, Relaxed).is_ok()
    }
}

fn is_in(entry: &Entry, ordinal: u16) -> bool {
    matches!(entry.class, Class::PoolBlock) && entry.link == ordinal
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    /// A place of which somebody counts the blocks.
    fn counting() -> Place {
        let place = Place::new();
        place.blocks.store(COUNTING, Relaxed);
        place
    }

    #[test]
    fn who_counts_does_not_count_again_for_what_ends_meanwhile() {
        let (place, left, walks) = (counting(), Cell::new(100), Cell::new(0));
        let count = || {
            walks.set(walks.get() + 1);
            let found = left.get();
            for _ in 0..3 {
                left.set(left.get() - 1);
                assert!(!place.has_one_less(), "somebody counts already");
            }
            found
        };
        assert!(!place.is_empty(count));
        assert_eq!(walks.get(), 1);
        for _ in 1..left.get() {
            assert!(!place.has_one_less());
        }
        assert!(place.has_one_less(), "the last one");
        assert!(place.is_empty(|| 0));
    }

    #[test]
    fn where_as_many_ended_as_were_found_it_is_counted_again() {
        let (place, walks) = (counting(), Cell::new(0));
        let count = || {
            walks.set(walks.get() + 1);
            if walks.get() > 1 {
                return 0;
            }
            assert!(!place.has_one_less() && !place.has_one_less());
            2
        };
        assert!(place.is_empty(count), "both were counted before they ended");
        assert_eq!(walks.get(), 2);
    }

    #[test]
    fn of_two_that_bring_it_to_nothing_one_counts() {
        let place = Place::new();
        place.blocks.store(1, Relaxed);
        assert!(place.has_one_less());
        assert!(!place.has_one_less(), "one that was not counted");
    }
}
