//! The loss counters in the header.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use wire::header::{COUNTER_WORDS, COUNTERS, Counter};

/// The words of the counters.
#[derive(Clone, Copy, Debug)]
pub struct Counters<'a>(&'a [AtomicU64]);

impl<'a> Counters<'a> {
    /// The counters in a header; `None` if it is too short.
    #[must_use]
    pub fn new(header: &'a [AtomicU64]) -> Option<Self> {
        Some(Self(header.get(COUNTERS..)?.get(..COUNTER_WORDS)?))
    }

    /// The word of one counter.
    #[must_use]
    pub fn word(&self, counter: Counter) -> Option<&'a AtomicU64> {
        self.0.get(counter as usize)
    }

    /// Counts one.
    pub fn count(&self, counter: Counter) {
        self.add(counter as usize, 1);
    }

    /// Adds to the counter with this number; nothing if there is none.
    pub fn add(&self, number: usize, step: u64) {
        if let Some(word) = self.0.get(number) {
            word.fetch_add(step, Relaxed);
        }
    }

    /// Takes `step` from a counter of what is outstanding, unless it is less than that.
    pub fn take_if_any(&self, counter: Counter, step: u64) -> bool {
        self.word(counter).is_some_and(|word| {
            word.fetch_update(Relaxed, Relaxed, |value| value.checked_sub(step)).is_ok()
        })
    }
}
