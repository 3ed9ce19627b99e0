//! The live table: what is held now.
//!
//! Open addressing with linear probing over the address. An entry is four words:
//!
//! ```text
//! word 0  address, or handle
//!      1  state 3 | class 5 | device 6 | flags 2 | size 48          (lowest first)
//!      2  native stack 32 | Python stack 32; for a mapping or a binding: entry of its handle 32 | 0;
//!         for an identity: the identity 64
//!      3  birth, us of CLOCK_MONOTONIC 48 | link 16
//! ```
//!
//! `link` is by class: for a handle its mappings and bindings in the low 10 bits and the program's references
//! above them, for a pool its ordinal, for a pool's block the ordinal of its pool, for what is of a
//! context (linear, managed and pinned memory, arrays, what was opened or imported) the ordinal of that,
//! for an identity the class of what it is the identity of, which
//! is the entry of that class at the same address. A count that reached the top of its bits stays there for good:
//! how many there are is not known any more, and what is held must not pass for given back.
//!
//! States: `Empty → Busy → Valid → Freeing → Tombstone → Busy …`, and `Freeing → Valid` when the
//! real free failed. Word 1 is the commit word: an entry is what its other words say only while
//! word 1 reads `Valid` or `Freeing` before and after them. The driver does not hand out an address
//! again before its free returned, so no two live entries of one class share an address, and a
//! free finds the entry its allocation made.
//!
//! A handle whose last reference the program gave back while it is mapped stays, flagged
//! [`FLAG_RELEASED`], until its last mapping goes: the physical memory stays too. It has no name
//! any more (the driver may hand its value out again), so looking a handle up passes over it. A pool that
//! was destroyed while something lay in it stays in the same way, until the last of its blocks goes.

use core::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

use crate::{layout::ENTRY_WORDS, mix, record::Class};

/// Flag: taken while a stream capture was under way.
pub const FLAG_PRIVATE: u8 = 1;
/// Flag of a handle: the program has no reference to it left, only mappings. Of a pool: it was destroyed.
pub const FLAG_RELEASED: u8 = 2;
/// One mapping in a handle's link.
pub const LINK_MAPPING: u16 = 1;
/// One of the program's references in a handle's link.
pub const LINK_REFERENCE: u16 = 1 << 10;
/// Greatest size an entry can carry; larger ones are cut to it.
pub const MAX_SIZE: u64 = (1 << 48) - 1;
/// Entries looked at before giving up. At half load the longest run seen is far below it.
pub const PROBES: usize = 1024;

/// State of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// Never used.
    Empty = 0,
    /// Being filled.
    Busy = 1,
    /// Held.
    Valid = 2,
    /// The real free is under way.
    Freeing = 3,
    /// Given back; the place may be used again, probing goes past it.
    Tombstone = 4,
}

impl State {
    /// The state in an entry's word 1; unknown numbers read as [`State::Busy`], which nobody uses.
    #[must_use]
    pub const fn of(word: u64) -> Self {
        match word & 7 {
            0 => Self::Empty,
            2 => Self::Valid,
            3 => Self::Freeing,
            4 => Self::Tombstone,
            _ => Self::Busy,
        }
    }
}

/// Something held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Address, or handle.
    pub address: u64,
    /// What it is.
    pub class: Class,
    /// CUDA ordinal.
    pub device: u8,
    /// `FLAG_*`.
    pub flags: u8,
    /// Bytes.
    pub size: u64,
    /// Native stack; for a mapping or a binding the index of its handle's entry, for an identity its
    /// low half.
    pub native: u32,
    /// Python stack; for an identity its high half.
    pub python: u32,
    /// When it was taken, microseconds of `CLOCK_MONOTONIC`.
    pub birth_us: u64,
    /// See the module.
    pub link: u16,
}

impl Entry {
    const fn meta(&self, state: State) -> u64 {
        let size = if self.size > MAX_SIZE { MAX_SIZE } else { self.size };
        state as u64
            | (self.class as u64 & 31) << 3
            | (self.device as u64 & 63) << 8
            | (self.flags as u64 & 3) << 14
            | size << 16
    }

    /// The words of a valid entry.
    #[must_use]
    pub const fn encode(&self) -> [u64; ENTRY_WORDS] {
        [
            self.address,
            self.meta(State::Valid),
            self.native as u64 | (self.python as u64) << 32,
            self.birth_us & ((1 << 48) - 1) | (self.link as u64) << 48,
        ]
    }

    /// State and content of an entry's words; no content for entries that hold nothing or a class
    /// of a later version.
    #[must_use]
    pub fn decode(words: &[u64; ENTRY_WORDS]) -> (State, Option<Self>) {
        let [address, meta, stacks, birth] = *words;
        let state = State::of(meta);
        if !matches!(state, State::Valid | State::Freeing) {
            return (state, None);
        }
        let entry = Class::of((meta >> 3 & 31) as u8).map(|class| Self {
            address,
            class,
            device: (meta >> 8 & 63) as u8,
            flags: (meta >> 14 & 3) as u8,
            size: meta >> 16,
            native: stacks as u32,
            python: (stacks >> 32) as u32,
            birth_us: birth & ((1 << 48) - 1),
            link: (birth >> 48) as u16,
        });
        (state, entry)
    }
}

/// The writing side of the table.
#[derive(Clone, Copy)]
pub struct Table<'a> {
    words: &'a [AtomicU64],
}

impl<'a> Table<'a> {
    /// A table over the words of the section, whose number of entries is a power of two.
    #[must_use]
    pub const fn new(words: &'a [AtomicU64]) -> Self {
        Self { words }
    }

    /// Number of entries there is room for.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.words.len() / ENTRY_WORDS
    }

    fn entry(&self, index: usize) -> Option<&'a [AtomicU64; ENTRY_WORDS]> {
        self.words.get(index * ENTRY_WORDS..)?.first_chunk()
    }

    fn probe(&self, address: u64) -> impl Iterator<Item = usize> + use<'_, 'a> {
        let mask = self.capacity() - 1;
        let first = mix(address) as usize & mask;
        (0..PROBES.min(self.capacity())).map(move |i| (first + i) & mask)
    }

    /// Adds an entry and returns its index; `None` when there is no room near its place.
    #[must_use]
    pub fn insert(&self, entry: &Entry) -> Option<u32> {
        for index in self.probe(entry.address) {
            let [address, meta, stacks, birth] = self.entry(index)?;
            let before = meta.load(Relaxed);
            if !matches!(State::of(before), State::Empty | State::Tombstone) {
                continue;
            }
            // Acquire: the stores below stay behind the claim.
            if meta.compare_exchange(before, entry.meta(State::Busy), Acquire, Relaxed).is_err() {
                continue;
            }
            let [a, m, s, b] = entry.encode();
            address.store(a, Relaxed);
            stacks.store(s, Relaxed);
            birth.store(b, Relaxed);
            // Pairs with the acquire load of word 1 in `get`, and with a reader's second look.
            meta.store(m, Release);
            return u32::try_from(index).ok();
        }
        None
    }

    /// State and content at `index`.
    #[must_use]
    pub fn get(&self, index: u32) -> Option<(State, Entry)> {
        let [address, meta, stacks, birth] = self.entry(index as usize)?;
        // Pairs with the release store in `insert`.
        let meta = meta.load(Acquire);
        let words = [address.load(Relaxed), meta, stacks.load(Relaxed), birth.load(Relaxed)];
        let (state, entry) = Entry::decode(&words);
        Some((state, entry?))
    }

    /// The entry at `address` that is in `state` and that `wanted` accepts, with its index.
    #[must_use]
    pub fn find(
        &self,
        address: u64,
        state: State,
        wanted: impl Fn(&Entry) -> bool,
    ) -> Option<(u32, Entry)> {
        for index in self.probe(address) {
            let [at, meta, ..] = self.entry(index)?;
            match State::of(meta.load(Acquire)) {
                State::Empty => return None,
                found if found == state && at.load(Relaxed) == address => {}
                _ => continue,
            }
            let index = u32::try_from(index).ok()?;
            match self.get(index) {
                Some((s, entry)) if s == state && wanted(&entry) => return Some((index, entry)),
                _ => {}
            }
        }
        None
    }

    /// Moves an entry from one state to another; `false` if it was not in `from`.
    pub fn shift(&self, index: u32, from: State, to: State) -> bool {
        let Some([_, meta, ..]) = self.entry(index as usize) else { return false };
        // Tried again when another thread changes the size or a flag meanwhile.
        let step = |word| (State::of(word) == from).then_some(word & !7 | to as u64);
        meta.fetch_update(Release, Relaxed, step).is_ok()
    }

    /// Replaces the size of a valid entry (the reserve of a pool) and returns the size before.
    pub fn resize(&self, index: u32, size: u64) -> Option<u64> {
        let [_, meta, ..] = self.entry(index as usize)?;
        let step = |word| {
            (State::of(word) == State::Valid).then_some(word & 0xffff | size.min(MAX_SIZE) << 16)
        };
        meta.fetch_update(Release, Relaxed, step).ok().map(|before| before >> 16)
    }

    /// Sets a flag of an entry that is held.
    pub fn flag(&self, index: u32, flag: u8) {
        if let Some([_, meta, ..]) = self.entry(index as usize) {
            meta.fetch_or((flag as u64 & 3) << 14, Release);
        }
    }

    /// Takes a flag of an entry that is held away.
    pub fn unflag(&self, index: u32, flag: u8) {
        if let Some([_, meta, ..]) = self.entry(index as usize) {
            meta.fetch_and(!((flag as u64 & 3) << 14), Release);
        }
    }

    /// Adds `one` to an entry's link and returns the link after it.
    pub fn link_add(&self, index: u32, one: u16) -> Option<u16> {
        self.link_step(index, |link| match link & link_mask(one) {
            count if count == link_mask(one) => link,
            _ => link.wrapping_add(one),
        })
    }

    /// Takes `one` from an entry's link and returns the link after it.
    pub fn link_sub(&self, index: u32, one: u16) -> Option<u16> {
        self.link_step(index, |link| match link & link_mask(one) {
            count if count == 0 || count == link_mask(one) => link,
            _ => link.wrapping_sub(one),
        })
    }

    fn link_step(&self, index: u32, step: impl Fn(u16) -> u16) -> Option<u16> {
        let [.., birth] = self.entry(index as usize)?;
        let after = |word: u64| step((word >> 48) as u16);
        let stepped = |word| Some(word & ((1 << 48) - 1) | u64::from(after(word)) << 48);
        birth.fetch_update(Relaxed, Relaxed, stepped).ok().map(after)
    }
}

/// The bits of a handle's link in which `one` counts.
const fn link_mask(one: u16) -> u16 {
    if one < LINK_REFERENCE { LINK_REFERENCE - 1 } else { !(LINK_REFERENCE - 1) }
}
