//! Untracked growth: what the driver counts for a process, and no call of it took, rises.
//!
//! A context, the code of its kernels and their local memory belong to a process and are taken by no
//! call that can be seen. How much that is says nothing: it depends on the card and on how much is
//! loaded. That it goes on rising does, and so does that it rises at once by much, as with the first
//! collective of a library. The rule for that is the one of totals ([`super::growth`]), fed with the
//! difference.

use super::{
    growth::{self, Growing, Growth},
    thresholds::BY_TIME,
};

/// Least growth, bytes: kernels that are compiled late and local memory that is made larger stay below.
pub const DEFAULT_GROWTH: u64 = 256 << 20;
/// What is tracked must not have changed for so long before and after the driver was asked, ns: the two
/// are not read at the same instant.
pub const DEFAULT_QUIET: u64 = 200_000_000;

/// What the detector says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    /// It does not rise.
    Fine,
    /// Too little of it was seen.
    NotEnough,
    /// It goes on rising.
    Growing(Growing),
    /// It rose at once.
    Rose {
        /// When, `CLOCK_MONOTONIC`, ns.
        at: u64,
        /// By how much, bytes.
        bytes: u64,
    },
}

/// The detector for one device of one process.
#[derive(Clone, Debug)]
pub struct Untracked {
    growth: Growth,
}

impl Default for Untracked {
    fn default() -> Self {
        Self { growth: Growth::new(BY_TIME) }
    }
}

impl Untracked {
    /// At `time`, `CLOCK_MONOTONIC` ns, the driver counted `used` bytes, of which `tracked` were
    /// explained.
    pub fn push(&mut self, time: u64, used: u64, tracked: u64) {
        self.growth.push(time, used.saturating_sub(tracked));
    }

    /// Whether it rises.
    #[must_use]
    pub fn check(&self) -> Verdict {
        match self.growth.check() {
            growth::Verdict::NotEnough => Verdict::NotEnough,
            growth::Verdict::Growing(growing) if growing.bytes >= DEFAULT_GROWTH => {
                Verdict::Growing(growing)
            }
            growth::Verdict::Step { at, bytes, .. } if bytes >= DEFAULT_GROWTH => {
                Verdict::Rose { at, bytes }
            }
            _ => Verdict::Fine,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::thresholds::MINUTE;

    const MIB: u64 = 1 << 20;

    /// The verdict after four hours, the driver asked every ten seconds, tracked memory coming and going.
    fn verdict(untracked: impl Fn(u64) -> u64) -> Verdict {
        let mut detector = Untracked::default();
        for second in (0..4 * 3600).step_by(10) {
            let tracked = (20_000 + second * 7919 % 4000) * MIB;
            detector.push(second * MINUTE / 60, tracked + untracked(second), tracked);
        }
        detector.check()
    }

    #[test]
    fn what_goes_on_rising_grows_and_the_level_says_nothing() {
        let Verdict::Growing(growing) = verdict(|second| (500 + second / 20) * MIB) else {
            panic!()
        };
        assert!((growing.rate / MIB as f64 - 3.0).abs() < 0.1, "{growing:?}");
        assert_eq!(verdict(|_| 9_000 * MIB), Verdict::Fine);
        assert_eq!(verdict(|second| (500 + second / 80) * MIB), Verdict::Fine, "180 MiB in all");
    }

    #[test]
    fn what_rises_at_once_is_told_with_when_and_by_how_much() {
        let collective = |second| if second < 9_000 { 500 * MIB } else { 3_800 * MIB };
        let Verdict::Rose { at, bytes } = verdict(collective) else { panic!() };
        assert_eq!(bytes, 3_300 * MIB);
        assert!(at.abs_diff(150 * MINUTE) <= 4 * MINUTE, "{at}");
        let little = |second| if second < 9_000 { 500 * MIB } else { 700 * MIB };
        assert_eq!(verdict(little), Verdict::Fine);
    }

    #[test]
    fn an_hour_is_not_enough() {
        let mut detector = Untracked::default();
        (0..60).for_each(|minute| detector.push(minute * MINUTE, minute * 99 * MIB, 0));
        assert_eq!(detector.check(), Verdict::NotEnough);
        // The driver may be asked before, and the ledger after, something was taken.
        detector.push(61 * MINUTE, 1, 2);
        assert_eq!(detector.check(), Verdict::NotEnough);
    }
}
