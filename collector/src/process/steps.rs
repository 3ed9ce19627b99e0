//! How much was reserved when: what NVML's readings, once a second, are set against.

/// Changes within so many ns of each other are one: readings are a second apart.
const GRAIN: u64 = 50_000_000;
/// Changes kept; the oldest half goes first.
const KEPT: usize = 1 << 16;

/// The course of a figure by its changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Steps(Vec<(u64, u64)>);

impl Steps {
    /// The figure is `value` from `time` on, ns.
    pub fn push(&mut self, time: u64, value: u64) {
        let Self(steps) = self;
        match steps.last_mut() {
            Some((_, last)) if *last == value => {}
            Some((since, last)) if time < since.saturating_add(GRAIN) => *last = value,
            _ => steps.push((time, value)),
        }
        if steps.len() == KEPT {
            steps.drain(..KEPT / 2);
        }
    }

    /// The figure at `time`, as far as the grain goes; `None` before the first change.
    #[must_use]
    pub fn at(&self, time: u64) -> Option<u64> {
        let after = self.0.partition_point(|(since, _)| *since <= time);
        after.checked_sub(1).map(|last| self.0[last].1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figure_is_that_of_the_last_change() {
        let mut steps = Steps::default();
        for (time, value) in [(1, 10), (2, 20), (GRAIN + 1, 30), (9 * GRAIN, 30), (9 * GRAIN, 5)] {
            steps.push(time, value);
        }
        assert_eq!(steps.at(0), None);
        assert_eq!(
            [1, GRAIN, GRAIN + 1, 8 * GRAIN].map(|t| steps.at(t).unwrap()),
            [20, 20, 30, 30]
        );
        assert_eq!(steps.at(u64::MAX), Some(5));
    }

    #[test]
    fn the_oldest_changes_are_forgotten_first() {
        let mut steps = Steps::default();
        (0..=KEPT as u64).for_each(|n| steps.push(n * GRAIN, n));
        assert_eq!(steps.at(0), None);
        assert_eq!(steps.at(u64::MAX), Some(KEPT as u64));
    }
}
