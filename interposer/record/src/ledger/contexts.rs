//! Contexts by small numbers, because an entry of the live table has 16 bits for them.

use core::sync::atomic::{
    AtomicU8, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

use wire::device::UNKNOWN;

/// Contexts that get a number; a process rarely has more than one per device.
const CONTEXTS: usize = 64;
/// The number of a context that got none.
pub const UNNUMBERED: u16 = 0;
/// What stands in the place of a context that is on its way out.
const ENDING: u64 = u64::MAX;

/// The contexts that took memory, or that the program made.
pub struct Contexts {
    places: [AtomicU64; CONTEXTS],
    /// Those the program made for itself, as bits: none of them is a device's primary one.
    own: AtomicU64,
    /// Of those that are known to be a device's primary one, which device's; else [`UNKNOWN`].
    devices: [AtomicU8; CONTEXTS],
}

impl Contexts {
    pub const fn new() -> Self {
        Self {
            places: [const { AtomicU64::new(0) }; CONTEXTS],
            own: AtomicU64::new(0),
            devices: [const { AtomicU8::new(UNKNOWN) }; CONTEXTS],
        }
    }

    /// The number that `context` has.
    pub fn find(&self, context: u64) -> u16 {
        let is_it = |place: &AtomicU64| context != 0 && place.load(Acquire) == context;
        let mut numbered = (1..).zip(&self.places);
        numbered.find(|(_, place)| is_it(place)).map_or(UNNUMBERED, |(number, _)| number)
    }

    /// The number of `context`, a new one if it has none yet.
    pub fn number(&self, context: u64) -> u16 {
        let known = self.find(context);
        if known != UNNUMBERED || context == 0 {
            return known;
        }
        for (number, place) in (1..).zip(&self.places) {
            match place.compare_exchange(0, context, AcqRel, Acquire) {
                Ok(_) => return number,
                // Another thread just gave it this one.
                Err(other) if other == context => return number,
                Err(_) => {}
            }
        }
        UNNUMBERED
    }

    /// The program made `context` for itself.
    pub fn own(&self, context: u64) {
        let number = self.number(context);
        self.own.fetch_or(bit(number), Relaxed);
        self.set_device(number, UNKNOWN);
    }

    /// `context` is the primary one of `device`.
    pub fn primary(&self, context: u64, device: u8) {
        let number = self.number(context);
        self.own.fetch_and(!bit(number), Relaxed);
        self.set_device(number, device);
    }

    /// Whose primary context the one of this number is, where that is known.
    pub fn device(&self, number: u16) -> Option<u8> {
        let device = self.devices.get(index(number))?.load(Relaxed);
        (device != UNKNOWN).then_some(device)
    }

    fn set_device(&self, number: u16, device: u8) {
        if let Some(place) = self.devices.get(index(number)) {
            place.store(device, Relaxed);
        }
    }

    /// Whether the program made the context of this number for itself.
    pub fn is_own(&self, number: u16) -> bool {
        self.own.load(Relaxed) & bit(number) != 0
    }

    /// The context of this number is on its way out. Another that gets its address gets another number.
    pub fn begin_end(&self, number: u16) {
        self.put(number, ENDING);
    }

    /// It is still there.
    pub fn failed_to_end(&self, number: u16, context: u64) {
        self.put(number, context);
    }

    /// Whether the context of this number is on its way out.
    pub fn is_ending(&self, number: u16) -> bool {
        self.places.get(index(number)).is_some_and(|place| place.load(Relaxed) == ENDING)
    }

    fn put(&self, number: u16, context: u64) {
        if let Some(place) = self.places.get(index(number)) {
            place.store(context, Release);
        }
    }

    /// The context of this number is gone: its number is for the next one.
    pub fn forget(&self, number: u16) {
        self.own.fetch_and(!bit(number), Relaxed);
        self.set_device(number, UNKNOWN);
        self.put(number, 0);
    }
}

/// The place of a number; beyond all places for [`UNNUMBERED`].
fn index(number: u16) -> usize {
    usize::from(number).wrapping_sub(1)
}

/// The bit of a number; none for [`UNNUMBERED`].
const fn bit(number: u16) -> u64 {
    match 1_u64.checked_shl((number as u32).wrapping_sub(1)) {
        Some(bit) => bit,
        None => 0,
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

    #[test]
    fn the_number_of_a_context_that_ended_is_given_again() {
        let contexts = Contexts::new();
        for context in 1..1000 {
            let number = contexts.number(context);
            assert_eq!(number, 1);
            contexts.forget(number);
            assert_eq!(contexts.find(context), UNNUMBERED);
        }
        contexts.own(7);
        contexts.number(8);
        assert_eq!([UNNUMBERED, 1, 2].map(|number| contexts.is_own(number)), [false, true, false]);
        contexts.forget(1);
        contexts.number(9);
        assert!(!contexts.is_own(1), "of the one that had the number before");
        contexts.primary(9, 5);
        assert_eq!([UNNUMBERED, 1, 2].map(|number| contexts.device(number)), [None, Some(5), None]);
        contexts.own(9);
        assert_eq!(
            (contexts.device(1), contexts.is_own(1)),
            (None, true),
            "one that was made there"
        );
        contexts.primary(9, 6);
        assert_eq!((contexts.device(1), contexts.is_own(1)), (Some(6), false));
        contexts.forget(UNNUMBERED);
        assert_eq!(contexts.find(0), UNNUMBERED);
    }
}
