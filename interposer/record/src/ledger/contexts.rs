//! Contexts by small numbers, because an entry of the live table has 16 bits for them.

use core::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Relaxed},
};

/// Contexts that get a number; a process rarely has more than one per device.
const CONTEXTS: usize = 64;
/// The number of a context that got none.
pub const UNNUMBERED: u16 = 0;

/// The contexts that took memory.
pub struct Contexts([AtomicU64; CONTEXTS]);

impl Contexts {
    pub const fn new() -> Self {
        Self([const { AtomicU64::new(0) }; CONTEXTS])
    }

    /// The number of `context`, a new one if it has none yet.
    pub fn number(&self, context: u64) -> u16 {
        if context == 0 {
            return UNNUMBERED;
        }
        for (number, place) in (1..).zip(&self.0) {
            let mut seen = place.load(Relaxed);
            if seen == 0 {
                match place.compare_exchange(0, context, Acquire, Relaxed) {
                    Ok(_) => return number,
                    Err(other) => seen = other,
                }
            }
            if seen == context {
                return number;
            }
        }
        UNNUMBERED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_keeps_its_number() {
        let contexts = Contexts::new();
        assert_eq!([7, 9, 7, 0].map(|context| contexts.number(context)), [1, 2, 1, UNNUMBERED]);
        assert_eq!((10..200).map(|context| contexts.number(context)).last(), Some(UNNUMBERED));
        assert_eq!(contexts.number(9), 2);
    }
}
