//! Draining the ring: each slot once, in order, as it is, and what was lost in between.

use wire::{
    header,
    layout::SLOT_WORDS,
    record::Record,
    ring::{Read, judge},
};

use super::{Damage, RingFile};
use crate::{
    ledger::{Pairs, Step},
    process::Losses,
};

/// Slots read at a time: 64 KiB.
const BATCH: u64 = 1024;
/// How often a slot that changes under our eyes is read in one go.
const LOOKS: usize = 8;

/// What draining gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// A whole slot.
    Slot {
        /// Where it stands in the timeline.
        position: u64,
        /// The slot as it is in the ring.
        words: [u64; SLOT_WORDS],
        /// What it says; `None` for a kind of a later version.
        record: Option<Record>,
    },
    /// Slots that were overwritten before they were read, or that hold nothing readable.
    Lost(u64),
}

impl Drained {
    /// The steps of the timeline that are whole now that this is known; `pairs` waits for second slots.
    pub fn steps(&self, pairs: &mut Pairs, mut step: impl FnMut(Step<'_>)) {
        match self {
            Self::Lost(slots) => {
                pairs.finish().iter().for_each(|event| step(Step::Event(event)));
                step(Step::Lost(*slots));
            }
            Self::Slot { position, record: Some(record), .. } => {
                let whole = pairs.push(*position, *record);
                whole.iter().for_each(|event| step(Step::Event(event)));
            }
            Self::Slot { record: None, .. } => {}
        }
    }
}

/// How far a drain got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Slots that became part of the timeline with this drain, lost ones included.
    pub advanced: u64,
    /// Slots lost with this drain.
    pub lost: u64,
}

/// A reader's place in one ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drain {
    next: u64,
    losses: Losses,
}

impl Drain {
    /// A reader that has read nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A reader of what comes from `position` on.
    #[must_use]
    pub fn from(position: u64) -> Self {
        Self { next: position, losses: Losses::default() }
    }

    /// The position that is read next.
    #[must_use]
    pub const fn next(&self) -> u64 {
        self.next
    }

    /// What was lost so far.
    #[must_use]
    pub const fn losses(&self) -> Losses {
        self.losses
    }

    /// Gives `sink` every slot that is there to read. With a writer that is `alive` it stops at a
    /// slot that is still being written, unless the writer is a quarter of the ring ahead: then
    /// that slot will hardly come any more, and the others must not be lost for it.
    ///
    /// # Errors
    /// The file cannot be read any more; what was given to `sink` stays valid.
    pub fn step(
        &mut self,
        ring: &RingFile,
        alive: bool,
        mut sink: impl FnMut(Drained),
    ) -> Result<Progress, Damage> {
        let slots = ring.layout().slots as u64;
        let head = ring.header_word(header::HEAD)?;
        let from = self.next;
        let mut lost = 0;
        if let Some(oldest) = head.checked_sub(slots).filter(|oldest| *oldest > self.next) {
            self.losses.overwritten += oldest - self.next;
            lost += self.lose(oldest - self.next, &mut sink);
        }
        // Slots that are claimed from here on come with the next drain.
        while self.next < head {
            let first = self.next % slots;
            let count = BATCH.min(head - self.next).min(slots - first);
            let at = ring.at().ring + first as usize * SLOT_WORDS;
            let before = ring.words(at, count as usize * SLOT_WORDS)?;
            let after = ring.words(at, count as usize * SLOT_WORDS)?;
            let (before, _) = before.as_chunks::<SLOT_WORDS>();
            let (after, _) = after.as_chunks::<SLOT_WORDS>();
            for (i, (before, after)) in before.iter().zip(after).enumerate() {
                let position = self.next;
                let words = settle(ring, at + i * SLOT_WORDS, before, after)?;
                let read = words.map_or(Read::Pending, |w| judge(&w, position, ring.salt()));
                match (read, words) {
                    (Read::Record(record), Some(words)) => {
                        sink(Drained::Slot { position, words, record: Some(record) });
                        self.next += 1;
                    }
                    (Read::Unknown, Some(words)) => {
                        self.losses.unknown += 1;
                        sink(Drained::Slot { position, words, record: None });
                        self.next += 1;
                    }
                    (Read::Pending, _) if alive && head - position < slots / 4 => {
                        return Ok(Progress { advanced: self.next - from, lost });
                    }
                    (Read::Overwritten, _) => {
                        // The writer has caught up with us: most of what follows is gone, too.
                        let oldest = ring.header_word(header::HEAD)?.saturating_sub(slots);
                        let gone = oldest.min(head).saturating_sub(position).max(1);
                        self.losses.overwritten += gone;
                        lost += self.lose(gone, &mut sink);
                        break;
                    }
                    (Read::Damaged, _) => {
                        self.losses.damaged += 1;
                        lost += self.lose(1, &mut sink);
                    }
                    _ => {
                        self.losses.unfinished += 1;
                        lost += self.lose(1, &mut sink);
                    }
                }
            }
        }
        Ok(Progress { advanced: self.next - from, lost })
    }

    fn lose(&mut self, slots: u64, sink: &mut impl FnMut(Drained)) -> u64 {
        self.next += slots;
        sink(Drained::Lost(slots));
        slots
    }
}

/// The words of a slot that read the same twice in a row.
fn settle(
    ring: &RingFile,
    at: usize,
    before: &[u64; SLOT_WORDS],
    after: &[u64; SLOT_WORDS],
) -> Result<Option<[u64; SLOT_WORDS]>, Damage> {
    let (mut before, mut after) = (*before, *after);
    for _ in 0..LOOKS {
        if before == after {
            return Ok(Some(after));
        }
        before = after;
        after = ring.element(at)?;
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use wire::{
        layout::SMALL,
        record::{Class, Verb},
        ring::writing,
    };

    use super::*;
    use crate::source::fake::{FakeRing, record};

    const SLOTS: u64 = SMALL.slots as u64;

    fn publish(ring: &FakeRing, from: u64, to: u64) {
        for address in from..to {
            ring.producer().publish(&record(Verb::Alloc, Class::Block, address, 512, 0));
        }
    }

    /// Addresses in the order they came, and the losses between them as negative numbers.
    fn step(drain: &mut Drain, ring: &FakeRing, alive: bool) -> Vec<i64> {
        let folder = tempfile::tempdir().unwrap();
        let mut seen = Vec::new();
        let sink = |drained: Drained| {
            seen.push(match drained {
                Drained::Slot { record: Some(record), .. } => record.address as i64,
                Drained::Slot { .. } => i64::MAX,
                Drained::Lost(slots) => -(slots as i64),
            });
        };
        drain.step(&ring.open(folder.path()), alive, sink).unwrap();
        seen
    }

    fn range(from: u64, to: u64) -> Vec<i64> {
        (from as i64..to as i64).collect()
    }

    #[test]
    fn an_empty_ring_gives_nothing() {
        assert!(step(&mut Drain::new(), &FakeRing::new([1, 2]), true).is_empty());
    }

    #[test]
    fn each_record_comes_once_and_in_order() {
        let (ring, mut drain) = (FakeRing::new([1, 2]), Drain::new());
        publish(&ring, 0, 3000);
        assert_eq!(step(&mut drain, &ring, true), range(0, 3000));
        publish(&ring, 3000, 5000);
        assert_eq!(step(&mut drain, &ring, true), range(3000, 5000));
        assert!(step(&mut drain, &ring, true).is_empty());
        assert_eq!(drain.losses(), Losses::default());
    }

    #[test]
    fn what_was_overwritten_is_counted() {
        let (ring, mut drain) = (FakeRing::new([1, 2]), Drain::new());
        publish(&ring, 0, SLOTS + 10);
        let mut expected = vec![-10];
        expected.extend(range(10, SLOTS + 10));
        assert_eq!(step(&mut drain, &ring, true), expected);
        assert_eq!(drain.losses(), Losses { overwritten: 10, ..Losses::default() });
    }

    fn tear(ring: &FakeRing, position: u64) {
        let seq = SMALL.offsets().ring + (position % SLOTS) as usize * SLOT_WORDS;
        ring.set(seq, writing(position));
    }

    #[test]
    fn a_writer_that_catches_up_while_we_read_costs_one_gap() {
        let (ring, mut drain) = (FakeRing::new([1, 2]), Drain::new());
        publish(&ring, 0, SLOTS);
        let folder = tempfile::tempdir().unwrap();
        let file = ring.open(folder.path());
        let mut seen = Vec::new();
        let mut first = true;
        let sink = |drained: Drained| {
            seen.push(match drained {
                Drained::Slot { record: Some(record), .. } => record.address as i64,
                Drained::Slot { .. } => i64::MAX,
                Drained::Lost(slots) => -(slots as i64),
            });
            if std::mem::take(&mut first) {
                publish(&ring, SLOTS, SLOTS + 2000);
                std::fs::write(file.path(), ring.bytes()).unwrap();
            }
        };
        drain.step(&file, true, sink).unwrap();
        // The first batch was read before; the second one begins in what is gone.
        let mut expected = range(0, BATCH);
        expected.push(-(2000 - BATCH as i64));
        expected.extend(range(2000, SLOTS));
        assert_eq!(seen, expected);
        assert_eq!(drain.losses().overwritten, 2000 - BATCH);
    }

    #[test]
    fn a_slot_being_written_is_waited_for_and_then_read() {
        let (ring, mut drain) = (FakeRing::new([1, 2]), Drain::new());
        publish(&ring, 0, 20);
        tear(&ring, 10);
        assert_eq!(step(&mut drain, &ring, true), range(0, 10));
        let seq = SMALL.offsets().ring + 10 * SLOT_WORDS;
        ring.set(seq, wire::ring::committed(10));
        assert_eq!(step(&mut drain, &ring, true), range(10, 20));
    }

    #[test]
    fn a_slot_that_never_comes_is_given_up_for_the_sake_of_the_others() {
        let (ring, mut drain) = (FakeRing::new([1, 2]), Drain::new());
        publish(&ring, 0, 10 + SLOTS / 4);
        tear(&ring, 10);
        let mut expected = range(0, 10);
        expected.push(-1);
        expected.extend(range(11, 10 + SLOTS / 4));
        assert_eq!(step(&mut drain, &ring, true), expected);
        assert_eq!(drain.losses(), Losses { unfinished: 1, ..Losses::default() });
    }

    #[test]
    fn the_last_slot_of_a_killed_process_is_passed_over() {
        let (ring, mut drain) = (FakeRing::new([1, 2]), Drain::new());
        publish(&ring, 0, 12);
        tear(&ring, 10);
        assert_eq!(step(&mut drain, &ring, false), [range(0, 10), vec![-1, 11]].concat());
    }

    #[test]
    fn a_damaged_slot_and_an_unknown_one_are_counted_apart() {
        let (ring, mut drain) = (FakeRing::new([1, 2]), Drain::new());
        publish(&ring, 0, 3);
        let slot = |position: usize| SMALL.offsets().ring + position * SLOT_WORDS;
        ring.set(slot(0) + 2, 99);
        let mut payload = record(Verb::Alloc, Class::Block, 1, 512, 0).encode();
        payload[4] = payload[4] & !31 | 20;
        ring.set(slot(1) + 5, payload[4]);
        let sum = wire::ring::check(1, header::salt([1, 2]), &payload);
        ring.set(slot(1) + 7, sum);
        assert_eq!(step(&mut drain, &ring, true), [-1, i64::MAX, 2]);
        let losses = Losses { damaged: 1, unknown: 1, ..Losses::default() };
        assert_eq!(drain.losses(), losses);
    }

    #[test]
    fn a_head_from_nowhere_costs_no_more_than_one_ring() {
        let (ring, mut drain) = (FakeRing::new([1, 2]), Drain::new());
        ring.set(header::HEAD, u64::MAX);
        let seen = step(&mut drain, &ring, false);
        assert!(seen.len() as u64 <= SLOTS + 1);
        // And one that goes backwards gives nothing.
        ring.set(header::HEAD, 5);
        assert!(step(&mut drain, &ring, false).is_empty());
    }
}
