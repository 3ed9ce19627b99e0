//! The waves of a scenario: requests that go out together, and the rest after them.

use serde::{Deserialize, Serialize};

use super::measure::Stretch;
use crate::detect::thresholds::{BOUNDARIES, MEASURED_STEPS, WARM_UP_STEPS};

/// Waves that are needed at least: the warm-up, those of which a block may be held against its line, and
/// those that the last of these must outlive.
pub const LEAST_WAVES: usize = WARM_UP_STEPS + MEASURED_STEPS + BOUNDARIES;
/// Waves that are aimed at: a few may be lost to chance.
const WAVES: u64 = 20;
/// Requests in a wave at most, when there are many: more wait in the server's queue and tell nothing.
const LARGEST: u64 = 16;

/// How many requests each wave has; `None` if they are too few to judge by.
#[must_use]
pub fn plan(requests: u64) -> Option<Vec<u64>> {
    let each = (requests / WAVES).clamp(1, LARGEST);
    let waves = requests / each;
    // What is left over makes the first waves larger, so that no later one is the largest of all.
    let sizes = (0..waves).map(|wave| requests / waves + u64::from(wave < requests % waves));
    (waves >= LEAST_WAVES as u64).then(|| sizes.collect())
}

/// A wave, from its first request to the rest after its last answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wave {
    /// When its requests went out, ns of `CLOCK_MONOTONIC`.
    pub begin_monotonic_ns: u64,
    /// The same moment, ns of `CLOCK_REALTIME`.
    pub begin_ns: u64,
    /// When its answers were in and the allocators at rest, ns of `CLOCK_REALTIME`.
    pub end_ns: u64,
    /// Its requests.
    pub requests: u64,
}

/// All of them, oldest first. The first three are the warm-up.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Waves(pub Vec<Wave>);

impl Waves {
    /// Those that are measured.
    #[must_use]
    pub fn measured(&self) -> &[Wave] {
        self.0.get(WARM_UP_STEPS..).unwrap_or_default()
    }

    /// Requests in those that are measured.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.measured().iter().map(|wave| wave.requests).sum()
    }

    /// What is judged; `None` without a wave after the warm-up.
    #[must_use]
    pub fn stretch(&self) -> Option<Stretch> {
        let warm = self.0.get(WARM_UP_STEPS.checked_sub(1)?)?.end_ns;
        let (first, last) = (self.0.first()?, self.measured().last()?);
        Some(Stretch { begin: first.begin_ns, warm, end: last.end_ns })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_go_in_waves_that_suffice_and_none_is_lost() {
        assert_eq!(plan(15), None);
        assert_eq!(plan(0), None);
        assert_eq!(plan(100), Some(vec![5; 20]));
        for requests in [16, 17, 39, 40, 59, 107, 319, 320, 1000, 100_000] {
            let sizes = plan(requests).unwrap();
            assert_eq!(sizes.iter().sum::<u64>(), requests);
            assert!(sizes.len() >= LEAST_WAVES, "{requests}");
            assert!(sizes.is_sorted_by(|one, other| one >= other), "{sizes:?}");
            assert!(sizes[0] <= LARGEST + 1, "{sizes:?}");
        }
    }

    #[test]
    fn what_is_judged_begins_with_the_warm_up_and_ends_with_the_last_rest() {
        let wave = |n: u64| Wave {
            begin_monotonic_ns: 0,
            begin_ns: n * 10,
            end_ns: n * 10 + 7,
            requests: 2,
        };
        let waves = Waves((0..5).map(wave).collect());
        assert_eq!(waves.stretch(), Some(Stretch { begin: 0, warm: 27, end: 47 }));
        assert_eq!((waves.measured().len(), waves.requests()), (2, 4));
        assert_eq!(Waves(waves.0[..3].to_vec()).stretch(), None);
    }
}
