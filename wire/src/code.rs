//! Python code objects, copied out of the process when they are first seen.
//!
//! A code object's address is reused after it dies, so an entry is found by the address *and* a
//! fingerprint of its fields. Eight words:
//!
//! ```text
//! word 0  address of the code object         4  line table span
//!      1  fingerprint                        5  first line number
//!      2  qualified name span                6  Python version, as in the header
//!      3  file name span                     7  0 empty, 2 ready; else state 2 | hash 62,
//!                                               state 1 being written, 3 in vain
//! ```
//!
//! The hash is of address and fingerprint: whoever meets an entry that another thread is writing
//! knows whose it will be, so that what two threads see first at once has one index and not two.

use core::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

use crate::{arena::Span, layout::CODE_WORDS, mix};

/// Entries looked at before giving up.
pub const PROBES: usize = 128;
const EMPTY: u64 = 0;
const BUSY: u64 = 1;
const READY: u64 = 2;
const VAIN: u64 = 3;
/// Bits of the last word that are the state.
const STATE: u64 = 3;

/// What the collector needs to name a frame and to find its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Code {
    /// Qualified name, UTF-8 (lossy).
    pub name: Span,
    /// File name, UTF-8 (lossy).
    pub file: Span,
    /// `co_linetable` as it is in the interpreter.
    pub lines: Span,
    /// `co_firstlineno`.
    pub first_line: u32,
    /// `major << 8 | minor` of the interpreter, which decides how `lines` is read.
    pub python: u32,
}

impl Code {
    /// The code object in its words; `None` if they are not complete.
    #[must_use]
    pub const fn decode(words: &[u64; CODE_WORDS]) -> Option<Self> {
        let [_, _, name, file, lines, first_line, python, state] = *words;
        if state != READY {
            return None;
        }
        Some(Self {
            name: Span::decode(name),
            file: Span::decode(file),
            lines: Span::decode(lines),
            first_line: first_line as u32,
            python: python as u32,
        })
    }
}

/// What the search for an entry begins with, and what tells it while it is written.
fn hash(address: u64, fingerprint: u64) -> u64 {
    mix(address ^ mix(fingerprint))
}

/// The writing side.
#[derive(Clone, Copy)]
pub struct Codes<'a> {
    words: &'a [AtomicU64],
}

impl<'a> Codes<'a> {
    /// A table over the words of the section, whose number of entries is a power of two.
    #[must_use]
    pub const fn new(words: &'a [AtomicU64]) -> Self {
        Self { words }
    }

    /// The index of the code object at `address` with `fingerprint`, if it is there.
    #[must_use]
    pub fn find(&self, address: u64, fingerprint: u64) -> Option<u32> {
        let mask = self.words.len() / CODE_WORDS - 1;
        let hash = hash(address, fingerprint);
        for i in 0..PROBES.min(mask) {
            let index = (hash as usize + i) & mask;
            let [at, print, _, _, _, _, _, state] =
                self.words.get(index * CODE_WORDS..)?.first_chunk()?;
            // Pairs with the release store of `intern`.
            match state.load(Acquire) {
                EMPTY => return None,
                other if other == hash & !STATE | BUSY => return u32::try_from(index).ok(),
                READY if at.load(Relaxed) == address && print.load(Relaxed) == fingerprint => {
                    return u32::try_from(index).ok();
                }
                _ => {}
            }
        }
        None
    }

    /// The index of the code object at `address` with `fingerprint`; if it is not there `copy`
    /// gives its content, which is added. `None` when there is no room or `copy` gives nothing; it
    /// is not asked again then.
    #[must_use]
    pub fn intern(
        &self,
        address: u64,
        fingerprint: u64,
        copy: impl FnOnce() -> Option<Code>,
    ) -> Option<u32> {
        let mask = self.words.len() / CODE_WORDS - 1;
        let hash = hash(address, fingerprint);
        let (busy, vain) = (hash & !STATE | BUSY, hash & !STATE | VAIN);
        for i in 0..PROBES.min(mask) {
            let index = (hash as usize + i) & mask;
            let [at, print, name, file, lines, line, python, state] =
                self.words.get(index * CODE_WORDS..)?.first_chunk()?;
            let mut seen = state.load(Acquire);
            if seen == EMPTY {
                match state.compare_exchange(EMPTY, busy, Acquire, Acquire) {
                    Ok(_) => {
                        let Some(code) = copy() else {
                            state.store(vain, Relaxed);
                            return None;
                        };
                        at.store(address, Relaxed);
                        print.store(fingerprint, Relaxed);
                        name.store(code.name.encode(), Relaxed);
                        file.store(code.file.encode(), Relaxed);
                        lines.store(code.lines.encode(), Relaxed);
                        line.store(code.first_line as u64, Relaxed);
                        python.store(code.python as u64, Relaxed);
                        // Pairs with the acquire load above and with a reader's.
                        state.store(READY, Release);
                        return u32::try_from(index).ok();
                    }
                    Err(other) => seen = other,
                }
            }
            if seen == vain {
                return None;
            }
            if seen == busy {
                return u32::try_from(index).ok();
            }
            if seen == READY && at.load(Relaxed) == address && print.load(Relaxed) == fingerprint {
                return u32::try_from(index).ok();
            }
        }
        None
    }
}
