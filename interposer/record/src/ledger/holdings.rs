//! The live table, with room kept for what came from the driver.
//!
//! Blocks are many and small, and their frees tell their size, so one that finds no room is only
//! counted. Of what the driver gave, each entry matters: a free tells nothing but an address.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use wire::{
    live::{Entry, State, Table},
    record::Class,
};

/// The live table and how many of its places are taken.
pub struct Holdings<'a> {
    table: Table<'a>,
    taken: AtomicU64,
}

/// Whether things of this class are pieces of memory that is listed already.
pub const fn is_piece(class: Class) -> bool {
    matches!(class, Class::Block | Class::PoolBlock)
}

impl<'a> Holdings<'a> {
    pub const fn new(table: Table<'a>) -> Self {
        Self { table, taken: AtomicU64::new(0) }
    }

    /// The table, to look and to change what stays.
    pub const fn table(&self) -> &Table<'a> {
        &self.table
    }

    /// Places for pieces; the last quarter is for the rest, and keeps runs of taken places short.
    const fn places_for_pieces(&self) -> u64 {
        let capacity = self.table.capacity() as u64;
        capacity.saturating_sub(capacity / 4)
    }

    /// Adds an entry; `None` if there is no room for it.
    pub fn insert(&self, entry: &Entry) -> Option<u32> {
        if is_piece(entry.class) && self.taken.load(Relaxed) >= self.places_for_pieces() {
            return None;
        }
        let index = self.table.insert(entry)?;
        self.taken.fetch_add(1, Relaxed);
        Some(index)
    }

    /// Ends the entry at `index`; `false` if it was not in the state `from`.
    pub fn end(&self, index: u32, from: State) -> bool {
        let ended = self.table.shift(index, from, State::Tombstone);
        if ended {
            self.taken.fetch_sub(1, Relaxed);
        }
        ended
    }
}
