//! What PyTorch's caching allocator does with segments, in miniature: sizes of segments, best fit,
//! splitting, joining, `empty_cache()`. One stream, no garbage collection, no limit of a card.
//!
//! After `c10/cuda/CUDACachingAllocator.cpp`: blocks of at most 1 MiB come from segments of 2 MiB;
//! up to 10 MiB from segments of 20 MiB; larger ones from segments of their own size, rounded up to
//! 2 MiB. The rest of a block is split off if it is at least 512 bytes (small) or more than 1 MiB
//! (large).

use std::collections::{BTreeMap, BTreeSet};

const MIB: u64 = 1 << 20;
const ROUND: u64 = 512;
/// Addresses between two segments: none ever touches another.
const APART: u64 = 1 << 40;

#[derive(Clone, Copy, Debug)]
struct Piece {
    size: u64,
    small: bool,
    free: bool,
}

/// An allocator and what it holds.
#[derive(Clone, Debug, Default)]
pub struct Allocator {
    pieces: BTreeMap<u64, Piece>,
    /// Free pieces: small or not, size, address.
    free: BTreeSet<(bool, u64, u64)>,
    segments: BTreeMap<u64, u64>,
    next: u64,
    /// Bytes in blocks.
    pub allocated: u64,
    /// Bytes in segments.
    pub reserved: u64,
}

impl Allocator {
    /// Hands out a block of so many bytes, and returns its address.
    pub fn take(&mut self, bytes: u64) -> u64 {
        let size = bytes.max(1).next_multiple_of(ROUND);
        let small = size <= MIB;
        let fit = self.free.range((small, size, 0)..=(small, u64::MAX, u64::MAX)).next();
        let address = match fit {
            Some((.., address)) => *address,
            None => self.grow(size, small),
        };
        let piece = self.pieces[&address];
        self.free.remove(&(small, piece.size, address));
        let rest = piece.size - size;
        let splits = if small { rest >= ROUND } else { rest > MIB };
        let taken = if splits { size } else { piece.size };
        self.pieces.insert(address, Piece { size: taken, free: false, ..piece });
        if splits {
            self.put(address + taken, Piece { size: rest, ..piece });
        }
        self.allocated += taken;
        address
    }

    fn grow(&mut self, size: u64, small: bool) -> u64 {
        let size = match size {
            _ if small => 2 * MIB,
            ..=10_485_760 => 20 * MIB,
            _ => size.next_multiple_of(2 * MIB),
        };
        self.next += APART;
        self.segments.insert(self.next, size);
        self.reserved += size;
        self.put(self.next, Piece { size, small, free: true });
        self.next
    }

    fn put(&mut self, address: u64, piece: Piece) {
        self.pieces.insert(address, Piece { free: true, ..piece });
        self.free.insert((piece.small, piece.size, address));
    }

    /// Takes a block back.
    pub fn give_back(&mut self, address: u64) {
        let Some(mut piece) = self.pieces.get(&address).copied().filter(|piece| !piece.free) else {
            return;
        };
        self.allocated -= piece.size;
        let mut start = address;
        let next = address + piece.size;
        if let Some(after) = self.pieces.get(&next).copied().filter(|after| after.free) {
            self.pieces.remove(&next);
            self.free.remove(&(after.small, after.size, next));
            piece.size += after.size;
        }
        let before = self.pieces.range(..address).next_back().map(|(at, before)| (*at, *before));
        if let Some((at, before)) =
            before.filter(|(at, before)| before.free && at + before.size == address)
        {
            self.pieces.remove(&address);
            self.free.remove(&(before.small, before.size, at));
            (start, piece.size) = (at, piece.size + before.size);
        }
        self.put(start, piece);
    }

    /// Gives segments without a block back to the driver.
    pub fn empty_cache(&mut self) {
        let whole = |(start, size): (&u64, &u64)| {
            let piece = self.pieces.get(start)?;
            (piece.free && piece.size == *size).then_some((*start, *piece))
        };
        let empty: Vec<(u64, Piece)> = self.segments.iter().filter_map(whole).collect();
        for (start, piece) in empty {
            self.pieces.remove(&start);
            self.free.remove(&(piece.small, piece.size, start));
            self.segments.remove(&start);
            self.reserved -= piece.size;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_that_was_split_and_joined_serves_a_large_one_again() {
        let mut allocator = Allocator::default();
        let large = allocator.take(64 * MIB);
        allocator.give_back(large);
        let parts = [20, 20, 20].map(|mib| allocator.take(mib * MIB));
        assert_eq!((allocator.allocated, allocator.reserved), (60 * MIB, 64 * MIB));
        parts.into_iter().for_each(|part| allocator.give_back(part));
        assert_eq!(allocator.take(64 * MIB), large);
        assert_eq!(allocator.reserved, 64 * MIB);
    }

    #[test]
    fn sizes_of_segments_are_pytorch_s_and_a_block_keeps_its_whole_segment() {
        let mut allocator = Allocator::default();
        let small = allocator.take(1000);
        let own = allocator.take(11 * MIB + 1);
        allocator.take(2 * MIB);
        assert_eq!(allocator.reserved, (2 + 20 + 12) * MIB);
        [small, own].into_iter().for_each(|block| allocator.give_back(block));
        allocator.empty_cache();
        assert_eq!((allocator.allocated, allocator.reserved), (2 * MIB, 20 * MIB));
    }
}
