//! The timeline: a ring of 64-byte slots that overwrites its oldest.
//!
//! Many writers, any number of readers, no lock. A writer claims a position `p` with one atomic
//! add; the slot `p mod N` is its to write once a compare-and-swap has set the slot's `seq` to
//! *writing p*; storing *committed p* publishes it. A writer that meets a slot still being written,
//! or already newer, drops its record and counts it: it never waits. A process killed in between
//! leaves one slot that reads as torn.
//!
//! ```text
//! committed(p) = (p + 1) << 1        writing(p) = committed(p) | 1        0 = never used
//! ```
//!
//! `check` (word 7) is a hash over the position, the file's salt and the payload, so that a reader
//! that copied a slot in two pieces, or a file that was damaged, is noticed independently of `seq`.

use core::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
    fence,
};

use crate::{
    layout::SLOT_WORDS,
    mix,
    record::{PAYLOAD_WORDS, Record},
};

/// `seq` of a slot whose record at `position` is whole.
#[must_use]
pub const fn committed(position: u64) -> u64 {
    position.wrapping_add(1) << 1
}

/// `seq` of a slot that is being written for `position`.
#[must_use]
pub const fn writing(position: u64) -> u64 {
    committed(position) | 1
}

/// The check word of a payload.
#[must_use]
pub fn check(position: u64, salt: u64, payload: &[u64; PAYLOAD_WORDS]) -> u64 {
    payload.iter().fold(mix(position ^ salt), |sum, word| {
        (sum ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
    })
}

/// The writing side.
#[derive(Clone, Copy)]
pub struct Producer<'a> {
    slots: &'a [AtomicU64],
    head: &'a AtomicU64,
    dropped: &'a AtomicU64,
    salt: u64,
}

impl<'a> Producer<'a> {
    /// A producer over the words of a ring, whose number of slots is a power of two.
    #[must_use]
    pub const fn new(
        slots: &'a [AtomicU64],
        head: &'a AtomicU64,
        dropped: &'a AtomicU64,
        salt: u64,
    ) -> Self {
        Self { slots, head, dropped, salt }
    }

    /// Publishes one record.
    pub fn publish(&self, record: &Record) {
        let position = self.head.fetch_add(1, Relaxed);
        self.write(position, &record.encode());
    }

    /// Publishes a record and its second slot in adjacent positions.
    pub fn publish_pair(&self, record: &Record, second: &Record) {
        let position = self.head.fetch_add(2, Relaxed);
        self.write(position, &record.encode());
        self.write(position + 1, &second.encode());
    }

    fn write(&self, position: u64, payload: &[u64; PAYLOAD_WORDS]) {
        if self.try_write(position, payload).is_none() {
            self.dropped.fetch_add(1, Relaxed);
        }
    }

    fn try_write(&self, position: u64, payload: &[u64; PAYLOAD_WORDS]) -> Option<()> {
        let mask = (self.slots.len() / SLOT_WORDS) as u64 - 1;
        let at = (position & mask) as usize * SLOT_WORDS;
        let slot = self.slots.get(at..at + SLOT_WORDS)?;
        let (seq, rest) = slot.split_first()?;
        let before = seq.load(Relaxed);
        if before & 1 == 1 || before >= committed(position) {
            return None;
        }
        // Acquire: the payload stores below must not become visible before the claim.
        seq.compare_exchange(before, writing(position), Acquire, Relaxed).ok()?;
        // Pairs with the acquire fence of a reader: whoever sees a payload word below also sees
        // that the slot is being written.
        fence(Release);
        for (word, value) in rest.iter().zip(payload) {
            word.store(*value, Relaxed);
        }
        if let Some(word) = rest.last() {
            word.store(check(position, self.salt, payload), Relaxed);
        }
        // Pairs with the acquire load of `seq` in a reader.
        seq.store(committed(position), Release);
        Some(())
    }
}

/// What a reader found at a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// A whole record.
    Record(Record),
    /// A whole slot whose verb or class this version does not know.
    Unknown,
    /// Claimed but not committed: being written, dropped by its writer, or its writer is dead.
    Pending,
    /// A later lap has taken the slot: the record is lost to this reader.
    Overwritten,
    /// The check does not hold.
    Damaged,
}

/// Judges a copied slot. Copy it twice and compare, or re-read `seq`, when the writer may be alive.
#[must_use]
pub fn judge(slot: &[u64; SLOT_WORDS], position: u64, salt: u64) -> Read {
    let [seq, payload @ .., sum] = slot;
    if *seq != committed(position) {
        return if *seq > writing(position) { Read::Overwritten } else { Read::Pending };
    }
    if *sum != check(position, salt, payload) {
        return Read::Damaged;
    }
    Record::decode(payload).map_or(Read::Unknown, Read::Record)
}

/// The reading side over mapped memory, as loom and Miri run it. The collector reads a file
/// instead: the same protocol with `pread` for the loads.
#[derive(Clone, Copy)]
pub struct Consumer<'a> {
    slots: &'a [AtomicU64],
    salt: u64,
}

impl<'a> Consumer<'a> {
    /// A consumer over the words of a ring.
    #[must_use]
    pub const fn new(slots: &'a [AtomicU64], salt: u64) -> Self {
        Self { slots, salt }
    }

    /// Reads the record at `position`.
    #[must_use]
    pub fn read(&self, position: u64) -> Read {
        let mask = (self.slots.len() / SLOT_WORDS) as u64 - 1;
        let at = (position & mask) as usize * SLOT_WORDS;
        let Some(slot) = self.slots.get(at..at + SLOT_WORDS) else { return Read::Damaged };
        let mut copy = [0; SLOT_WORDS];
        for (i, (value, word)) in copy.iter_mut().zip(slot).enumerate() {
            // Acquire on `seq` pairs with the release store of the commit.
            *value = word.load(if i == 0 { Acquire } else { Relaxed });
        }
        // Pairs with the release fence after a claim.
        fence(Acquire);
        match slot.first().map(|seq| seq.load(Relaxed)) {
            Some(seq) if Some(&seq) == copy.first() => judge(&copy, position, self.salt),
            _ => Read::Overwritten,
        }
    }
}
