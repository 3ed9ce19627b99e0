//! The waves of a scenario: requests that go out together, and the rest after them.

use serde::{Deserialize, Serialize};

use super::measure::Stretch;
use crate::detect::thresholds::WARM_UP_STEPS;

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
