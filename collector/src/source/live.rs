//! The live table: what is held now, read beside a writer that goes on.

use wire::{
    layout::ENTRY_WORDS,
    live::{Entry, State},
};

use super::{Damage, RingFile};
use crate::ledger::Live;

/// Entries read at a time: 64 KiB.
const BATCH: usize = 2048;
/// How often an entry that changes under our eyes is read before it is passed over.
const LOOKS: usize = 8;

/// What a process holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LiveSet {
    /// The entries, by index.
    pub entries: Vec<Live>,
    /// Entries that were being filled, or changed each time they were read; in a dead process, calls
    /// that never got to the end.
    pub in_flight: u32,
}

impl RingFile {
    /// The live set. Each entry was read twice and found the same; one that is being taken or
    /// given back while this runs may or may not be in it.
    ///
    /// # Errors
    /// The file cannot be read any more.
    pub fn live(&self) -> Result<LiveSet, Damage> {
        let mut live = LiveSet::default();
        for first in (0..self.layout().entries).step_by(BATCH) {
            let count = BATCH.min(self.layout().entries - first);
            let at = self.at().live + first * ENTRY_WORDS;
            let before = self.words(at, count * ENTRY_WORDS)?;
            let after = self.words(at, count * ENTRY_WORDS)?;
            let (before, _) = before.as_chunks::<ENTRY_WORDS>();
            let (after, _) = after.as_chunks::<ENTRY_WORDS>();
            for (i, (before, after)) in before.iter().zip(after).enumerate() {
                match self.settle(at + i * ENTRY_WORDS, before, after)? {
                    Some(words) => live.add((first + i) as u32, &words),
                    None => live.in_flight += 1,
                }
            }
        }
        Ok(live)
    }

    fn settle(
        &self,
        at: usize,
        before: &[u64; ENTRY_WORDS],
        after: &[u64; ENTRY_WORDS],
    ) -> Result<Option<[u64; ENTRY_WORDS]>, Damage> {
        let (mut before, mut after) = (*before, *after);
        for _ in 0..LOOKS {
            if before == after {
                return Ok(Some(after));
            }
            before = after;
            after = self.element(at)?;
        }
        Ok(None)
    }
}

impl LiveSet {
    fn add(&mut self, index: u32, words: &[u64; ENTRY_WORDS]) {
        let (state, entry) = Entry::decode(words);
        if state == State::Busy {
            self.in_flight += 1;
        }
        if let Some(entry) = entry {
            self.entries.push(Live { index, freeing: state == State::Freeing, entry });
        }
    }
}

#[cfg(test)]
mod tests {
    use wire::record::Class;

    use super::*;
    use crate::source::fake::FakeRing;

    #[test]
    fn what_was_taken_and_not_given_back_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let ring = FakeRing::new([1, 2]);
        for address in 1..=3u64 {
            ring.take(Class::Linear, address << 21, 1 << 21, 0);
        }
        let at = |address: u64| ring.table().find(address << 21, State::Valid, |_| true).unwrap().0;
        ring.table().shift(at(1), State::Valid, State::Tombstone);
        ring.table().shift(at(2), State::Valid, State::Freeing);
        let live = ring.open(folder.path()).live().unwrap();
        let mut held: Vec<_> = live.entries.iter().map(|l| (l.entry.address, l.freeing)).collect();
        held.sort_unstable();
        assert_eq!(held, [(2 << 21, true), (3 << 21, false)]);
        for live in &live.entries {
            assert_eq!(ring.table().get(live.index).unwrap().1, live.entry);
        }
    }

    #[test]
    fn an_entry_whose_writer_died_in_it_is_in_flight() {
        let folder = tempfile::tempdir().unwrap();
        let ring = FakeRing::new([1, 2]);
        ring.set(wire::layout::SMALL.offsets().live + 4 * 100 + 1, 1);
        let live = ring.open(folder.path()).live().unwrap();
        assert_eq!(live, LiveSet { in_flight: 1, entries: Vec::new() });
    }
}
