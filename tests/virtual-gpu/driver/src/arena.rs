//! Small blocks cut out of larger chunks of device memory: the driver's own small allocations
//! (2 MiB chunks) and the memory pools (32 MiB chunks).

use std::collections::BTreeMap;

use crate::ranges::Ranges;

/// Every block starts and ends on a multiple of this.
pub const STEP: u64 = 512;

struct Chunk {
    size: u64,
    /// Bytes of it that blocks hold.
    live: u64,
}

/// Chunks and what is free in them.
#[derive(Default)]
pub struct Arena {
    chunks: BTreeMap<u64, Chunk>,
    free: Ranges,
    live: u64,
    size: u64,
}

impl Arena {
    /// Bytes that a block of `size` takes.
    pub fn rounded(size: u64) -> u64 {
        size.next_multiple_of(STEP)
    }

    /// Cuts a block of `size`, a multiple of `STEP`; none where no chunk has the room.
    pub fn take(&mut self, size: u64) -> Option<u64> {
        let start = self.free.take(size)?;
        self.chunk_of(start).1.live += size;
        self.live += size;
        Some(start)
    }

    /// Gives a block back. True if its chunk is empty now.
    pub fn give(&mut self, start: u64, size: u64) -> bool {
        let (base, chunk) = self.chunk_of(start);
        chunk.live -= size;
        let (bounds, empty) = (base..base + chunk.size, chunk.live == 0);
        self.free.give(start, size, bounds);
        self.live -= size;
        empty
    }

    /// Adds a chunk.
    pub fn grow(&mut self, start: u64, size: u64) {
        self.chunks.insert(start, Chunk { size, live: 0 });
        self.free.give(start, size, start..start + size);
        self.size += size;
    }

    /// Takes the highest chunk without blocks out, start and size.
    pub fn shrink(&mut self) -> Option<(u64, u64)> {
        let empty = self.chunks.iter().rev().find(|(_, chunk)| chunk.live == 0);
        let (start, size) = empty.map(|(&start, chunk)| (start, chunk.size))?;
        self.chunks.remove(&start);
        let whole = self.free.take_exact(start, size);
        debug_assert!(whole, "a chunk without blocks is one free range");
        self.size -= size;
        Some((start, size))
    }

    /// Bytes of all blocks.
    pub fn live(&self) -> u64 {
        self.live
    }

    /// Bytes of all chunks.
    pub fn size(&self) -> u64 {
        self.size
    }

    fn chunk_of(&mut self, start: u64) -> (u64, &mut Chunk) {
        let found = self.chunks.range_mut(..=start).next_back();
        let (&base, chunk) = found.expect("a block lies in a chunk");
        (base, chunk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_comes_back_only_when_its_last_block_does() {
        let mut arena = Arena::default();
        arena.grow(0x1000, 4096);
        arena.grow(0x2000, 4096);
        let first = arena.take(1024).expect("room");
        let second = arena.take(1024).expect("room");
        assert_eq!(arena.take(8192), None, "not across two chunks");
        assert_eq!((arena.live(), arena.size()), (2048, 8192));
        assert_eq!(arena.shrink(), Some((0x2000, 4096)));
        assert_eq!(arena.shrink(), None);
        assert!(!arena.give(first, 1024));
        assert!(arena.give(second, 1024));
        assert_eq!(arena.shrink(), Some((0x1000, 4096)));
    }
}
