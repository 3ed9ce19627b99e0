//! The arena: append-only bytes that other tables point into.
//!
//! Room is claimed in whole words with one atomic add and never given back.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::layout::WORD;

/// A piece of the arena. Packed into a word as first word `<< 32 |` length in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Span {
    /// First word.
    pub word: u32,
    /// Length in bytes.
    pub length: u32,
}

impl Span {
    /// The packed form.
    #[must_use]
    pub const fn encode(self) -> u64 {
        (self.word as u64) << 32 | self.length as u64
    }

    /// The span in a packed word. A claim: check it against the arena's size.
    #[must_use]
    pub const fn decode(word: u64) -> Self {
        Self { word: (word >> 32) as u32, length: word as u32 }
    }
}

/// Up to 8 bytes as a word, first byte lowest.
#[must_use]
pub fn pack(bytes: &[u8]) -> u64 {
    bytes.iter().take(WORD).rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// Appends to the arena.
#[derive(Clone, Copy)]
pub struct Arena<'a> {
    words: &'a [AtomicU64],
    next: &'a AtomicU64,
}

impl<'a> Arena<'a> {
    /// An arena over `words` whose first free word is counted in `next`.
    #[must_use]
    pub const fn new(words: &'a [AtomicU64], next: &'a AtomicU64) -> Self {
        Self { words, next }
    }

    /// Claims room for `length` bytes; `None` when the arena is full.
    #[must_use]
    pub fn claim(&self, length: usize) -> Option<Span> {
        let words = length.div_ceil(WORD) as u64;
        // A look first, so that a full arena does not count up for ever.
        if self.next.load(Relaxed).saturating_add(words) > self.words.len() as u64 {
            return None;
        }
        let first = self.next.fetch_add(words, Relaxed);
        if first.saturating_add(words) > self.words.len() as u64 {
            return None;
        }
        Some(Span { word: u32::try_from(first).ok()?, length: u32::try_from(length).ok()? })
    }

    /// Writes the word at `index` of a claimed span.
    pub fn put(&self, span: Span, index: usize, word: u64) {
        if let Some(at) = self.words.get(span.word as usize + index) {
            at.store(word, Relaxed);
        }
    }

    /// Appends `bytes`; `None` when the arena is full. The caller publishes the span with a
    /// release store, which carries the bytes with it.
    #[must_use]
    pub fn append(&self, bytes: &[u8]) -> Option<Span> {
        let span = self.claim(bytes.len())?;
        for (i, chunk) in bytes.chunks(WORD).enumerate() {
            self.put(span, i, pack(chunk));
        }
        Some(span)
    }
}
