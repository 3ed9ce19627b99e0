//! Totals and peaks per device, kept as they change so that they need no ring to be exact.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use wire::{
    device::{self, ALLOCATED, ALLOCATED_PEAK, ALLOCATED_PEAK_TIME},
    device::{RESERVED, RESERVED_PEAK, RESERVED_PEAK_TIME, TORCH_RESERVED, TORCH_RESERVED_PEAK},
    record::Class,
};

/// The devices section.
#[derive(Clone, Copy)]
pub struct Gauges<'a>(&'a [AtomicU64]);

/// Whether things of this class are physical memory that the process took from the driver. A
/// mapping only shows its handle's bytes, and what was imported belongs to another process.
pub const fn is_reserved(class: Class) -> bool {
    matches!(class, Class::Linear | Class::Array | Class::Graph | Class::Handle | Class::Pool)
}

impl<'a> Gauges<'a> {
    pub const fn new(words: &'a [AtomicU64]) -> Self {
        Self(words)
    }

    fn word(&self, device: u8, gauge: usize) -> Option<&'a AtomicU64> {
        self.0.get(device::at(device).saturating_add(gauge))
    }

    /// Stores a value.
    pub fn set(&self, device: u8, gauge: usize, value: u64) {
        if let Some(word) = self.word(device, gauge) {
            word.store(value, Relaxed);
        }
    }

    /// The value of a gauge.
    pub fn get(&self, device: u8, gauge: usize) -> u64 {
        self.word(device, gauge).map_or(0, |word| word.load(Relaxed))
    }

    /// Adds to a gauge and returns its value after that; negative steps wrap.
    pub fn add(&self, device: u8, gauge: usize, step: u64) -> u64 {
        self.word(device, gauge).map_or(0, |word| word.fetch_add(step, Relaxed).wrapping_add(step))
    }

    /// Adds to the reserved bytes, with their peak.
    pub fn reserve(&self, device: u8, step: u64, time: u64) {
        let reserved = self.add(device, RESERVED, step);
        self.peak(device, RESERVED_PEAK, Some(RESERVED_PEAK_TIME), reserved, time);
    }

    /// Takes from the reserved bytes.
    pub fn release(&self, device: u8, step: u64) {
        self.add(device, RESERVED, step.wrapping_neg());
    }

    /// Stores what is allocated in blocks now, with its peak.
    pub fn allocated(&self, device: u8, bytes: u64, time: u64) {
        self.set(device, ALLOCATED, bytes);
        self.peak(device, ALLOCATED_PEAK, Some(ALLOCATED_PEAK_TIME), bytes, time);
    }

    /// Stores what PyTorch's allocator says it reserves, with its peak.
    pub fn torch_reserved(&self, device: u8, bytes: u64) {
        self.set(device, TORCH_RESERVED, bytes);
        self.peak(device, TORCH_RESERVED_PEAK, None, bytes, 0);
    }

    fn peak(&self, device: u8, peak: usize, when: Option<usize>, value: u64, time: u64) {
        let Some(word) = self.word(device, peak) else { return };
        // Of two threads that read a pool the later one may take what the first has yet to add.
        if value.cast_signed() < 0 {
            return;
        }
        // Most values are no peak; a look first keeps the line shared.
        if value > word.load(Relaxed)
            && word.fetch_max(value, Relaxed) < value
            && let Some(when) = when
        {
            self.set(device, when, time);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_before_it_was_added_is_no_peak() {
        let words = [const { AtomicU64::new(0) }; 64 * wire::layout::DEVICE_WORDS];
        let gauges = Gauges::new(&words);
        for step in [0_u64.wrapping_sub(32), 64] {
            gauges.reserve(2, step, 7);
        }
        assert_eq!([RESERVED, RESERVED_PEAK].map(|gauge| gauges.get(2, gauge)), [32, 32]);
    }
}
