//! Births and deaths from live tables alone, for when the events are lost or were never kept.
//!
//! A block that comes and goes between two tables is not seen; it is as if it had not been. One that
//! is gone died at the latest when it was missed.

use std::cmp::Ordering;

use super::leak::{Finding, Held, Leaks};

/// A live block and where it lies, which with its birth tells it from all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// First address.
    pub address: u64,
    /// The block.
    pub held: Held,
}

impl Entry {
    const fn key(&self) -> (u64, u64) {
        (self.address, self.held.born)
    }
}

/// The last table, to compare the next with.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    last: Vec<Entry>,
}

impl Tables {
    /// The table to compare the next with.
    #[must_use]
    pub fn new(mut live: Vec<Entry>) -> Self {
        live.sort_unstable_by_key(Entry::key);
        Self { last: live }
    }

    /// Tells `leaks` what came and went between the last table and this one.
    pub fn pass(&mut self, leaks: &mut Leaks, now: u64, live: Vec<Entry>) {
        let next = Self::new(live);
        let mut last = std::mem::replace(self, next).last.into_iter().peekable();
        let mut next = self.last.iter().peekable();
        loop {
            let order = match (last.peek(), next.peek()) {
                (Some(old), Some(new)) => old.key().cmp(&new.key()),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => break,
            };
            if let Some(old) = last.next_if(|_| order.is_le()).filter(|_| order.is_lt()) {
                leaks.died(old.held.site, old.held.born, now);
            }
            if let Some(new) = next.next_if(|_| order.is_ge()).filter(|_| order.is_gt()) {
                leaks.born(new.held.site, new.held.born);
            }
        }
    }

    /// The same, and looks.
    pub fn look(&mut self, leaks: &mut Leaks, now: u64, live: Vec<Entry>) -> Vec<Finding> {
        self.pass(leaks, now, live);
        leaks.look(now, self.last.iter().map(|entry| entry.held))
    }
}
