//! The course of a figure over a run: what it was after the warm-up, at most since then, and at last.

use serde::{Deserialize, Serialize};

/// Bytes at the moments that count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Course {
    /// At the end of the warm-up.
    pub baseline_bytes: u64,
    /// At most from then on.
    pub peak_bytes: u64,
    /// At the end.
    pub final_bytes: u64,
}

impl Course {
    /// The course of a figure that is `bytes` from `time` on for each of `points`, which are by time.
    /// A figure that begins later than `warm` was 0 before that.
    pub fn of(points: impl IntoIterator<Item = (u64, u64)>, warm: u64, end: u64) -> Self {
        let mut course = Self::default();
        for (time, bytes) in points.into_iter().filter(|(time, _)| *time <= end) {
            if time <= warm {
                course = Self { baseline_bytes: bytes, peak_bytes: bytes, final_bytes: bytes };
            }
            course.peak_bytes = course.peak_bytes.max(bytes);
            course.final_bytes = bytes;
        }
        course
    }

    /// What it gained at most.
    #[must_use]
    pub const fn growth(&self) -> u64 {
        self.peak_bytes - self.baseline_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_counts_from_the_end_of_the_warm_up_and_to_the_peak() {
        let points = [(10, 500), (20, 100), (30, 700), (40, 300), (60, 900)];
        let course = Course::of(points, 25, 50);
        let expected = Course { baseline_bytes: 100, peak_bytes: 700, final_bytes: 300 };
        assert_eq!((course, course.growth()), (expected, 600));
    }

    #[test]
    fn what_begins_later_began_with_nothing() {
        assert_eq!(Course::of([(30, 7)], 25, 50).growth(), 7);
        assert_eq!(Course::of([], 25, 50), Course::default());
        assert_eq!(
            Course::of([(10, 9), (25, 4)], 25, 50).growth(),
            0,
            "the warm-up does not count"
        );
    }
}
