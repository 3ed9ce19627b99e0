//! How much was reserved when: what NVML's readings, once a second, are set against.

/// Changes within so many ns of each other are one: readings are a second apart.
const GRAIN: u64 = 50_000_000;
/// Changes kept; the oldest half goes first.
const KEPT: usize = 1 << 16;

/// Changes of the figure within a grain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Change {
    since: u64,
    greatest: u64,
    last: u64,
}

/// The course of a figure by its changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Steps(Vec<Change>);

impl Steps {
    /// The figure is `value` from `time` on, ns.
    pub fn push(&mut self, time: u64, value: u64) {
        let Self(steps) = self;
        match steps.last_mut() {
            Some(change) if change.last == value => {}
            Some(change) if time < change.since.saturating_add(GRAIN) => {
                change.last = value;
                change.greatest = change.greatest.max(value);
            }
            _ => steps.push(Change { since: time, greatest: value, last: value }),
        }
        if steps.len() == KEPT {
            steps.drain(..KEPT / 2);
        }
    }

    /// The figure at `time`, as far as the grain goes; `None` before the first change.
    #[must_use]
    pub fn at(&self, time: u64) -> Option<u64> {
        let after = self.0.partition_point(|change| change.since <= time);
        after.checked_sub(1).map(|last| self.0[last].last)
    }

    /// The figure all the time from `from` to `until`; `None` where it changed, and before the first change.
    #[must_use]
    pub fn level(&self, from: u64, until: u64) -> Option<u64> {
        let begun = |time| self.0.partition_point(|change| change.since <= time);
        // Within its grain a change may have gone on.
        let before = begun(from.saturating_sub(GRAIN));
        let last = before.checked_sub(1).filter(|_| before == begun(until));
        last.map(|last| self.0[last].last)
    }

    /// Moments and the figure from each on, for a course that is never below the true one: the
    /// greatest of a grain holds until its end.
    pub fn points(&self) -> impl Iterator<Item = (u64, u64)> {
        self.0.iter().flat_map(|change| {
            let end = (change.greatest != change.last)
                .then(|| (change.since.saturating_add(GRAIN), change.last));
            [(change.since, change.greatest)].into_iter().chain(end)
        })
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
    fn a_figure_that_comes_back_was_not_level() {
        let mut steps = Steps::default();
        for (time, value) in [(GRAIN, 10), (6 * GRAIN, 90), (7 * GRAIN, 10)] {
            steps.push(time, value);
        }
        assert_eq!(steps.at(5 * GRAIN), steps.at(9 * GRAIN));
        let level = |from, until| steps.level(from * GRAIN, until * GRAIN);
        assert_eq!([level(5, 9), level(6, 6), level(7, 9)], [None; 3]);
        assert_eq!([level(3, 5), level(8, 99)], [Some(10); 2]);
        assert_eq!([level(0, 0), level(1, 2)], [None; 2], "nothing is known before");
    }

    #[test]
    fn a_short_rise_is_a_point_of_the_course() {
        let mut steps = Steps::default();
        for (time, value) in [(0, 10), (1, 90), (2, 20), (5 * GRAIN, 30)] {
            steps.push(time, value);
        }
        let points: Vec<_> = steps.points().collect();
        assert_eq!(points, [(0, 90), (GRAIN, 20), (5 * GRAIN, 30)]);
    }

    #[test]
    fn the_oldest_changes_are_forgotten_first() {
        let mut steps = Steps::default();
        (0..=KEPT as u64).for_each(|n| steps.push(n * GRAIN, n));
        assert_eq!(steps.at(0), None);
        assert_eq!(steps.at(u64::MAX), Some(KEPT as u64));
    }
}
