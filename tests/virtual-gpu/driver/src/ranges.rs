//! A set of free address ranges: takes the smallest that fits, joins neighbours on the way back.

use std::collections::{BTreeMap, BTreeSet};

/// Free ranges, by address and by size. Both orders hold the same ranges.
#[derive(Default)]
pub struct Ranges {
    by_start: BTreeMap<u64, u64>,
    by_size: BTreeSet<(u64, u64)>,
}

impl Ranges {
    /// Takes `size` from the smallest range that has it, the lowest of equals.
    pub fn take(&mut self, size: u64) -> Option<u64> {
        let &(room, start) = self.by_size.range((size, 0)..).next()?;
        self.remove(start, room);
        if room > size {
            self.add(start + size, room - size);
        }
        Some(start)
    }

    /// Gives a range back. It is joined with its neighbours where both lie within `bounds`, so
    /// that no range ever crosses from one piece of memory into the next.
    pub fn give(&mut self, mut start: u64, mut size: u64, bounds: std::ops::Range<u64>) {
        if let Some((&before, &room)) = self.by_start.range(..start).next_back()
            && before + room == start
            && before >= bounds.start
        {
            self.remove(before, room);
            start = before;
            size += room;
        }
        if let Some(&room) = self.by_start.get(&(start + size))
            && start + size < bounds.end
        {
            self.remove(start + size, room);
            size += room;
        }
        self.add(start, size);
    }

    /// Takes out one whole range, if it is free and stands alone.
    pub fn take_exact(&mut self, start: u64, size: u64) -> bool {
        let free = self.by_start.get(&start) == Some(&size);
        if free {
            self.remove(start, size);
        }
        free
    }

    fn add(&mut self, start: u64, size: u64) {
        self.by_start.insert(start, size);
        self.by_size.insert((size, start));
    }

    fn remove(&mut self, start: u64, size: u64) {
        self.by_start.remove(&start);
        self.by_size.remove(&(size, start));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_range_that_fits_is_taken() {
        let mut ranges = Ranges::default();
        ranges.give(0, 100, 0..100);
        ranges.give(200, 30, 200..230);
        assert_eq!(ranges.take(20), Some(200));
        assert_eq!(ranges.take(20), Some(0));
        assert_eq!(ranges.take(90), None);
    }

    #[test]
    fn neighbours_join_within_their_bounds_only() {
        let mut ranges = Ranges::default();
        for start in [0, 20, 10] {
            ranges.give(start, 10, 0..30);
        }
        ranges.give(30, 10, 30..40);
        assert_eq!(ranges.take(40), None, "not across the border at 30");
        assert!(ranges.take_exact(0, 30));
        assert!(!ranges.take_exact(0, 30), "already taken");
        assert_eq!(ranges.take(10), Some(30));
    }
}
