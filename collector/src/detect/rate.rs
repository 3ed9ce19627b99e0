//! How fast a figure grows, with how sure that is.
//!
//! The slope between every two points, and of all those the middle one ([`slopes`]). The interval is
//! from the tenth to the ninetieth percentile.

use super::trend::slopes;

/// Points a rate is told from at most; of more, so many at equal distance are taken.
const POINTS: usize = 256;
/// Least time between the first and the last point, ns. What grew in less says nothing of an hour.
pub const DEFAULT_SPAN: u64 = 60_000_000_000;
const HOUR: f64 = 3.6e12;

/// Bytes an hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// The middle.
    pub bytes: u64,
    /// One slope in ten is less.
    pub low: u64,
    /// One slope in ten is more.
    pub high: u64,
}

/// The rate of a figure that never falls, by its points: time in ns, and bytes. `None` where they
/// are too few or too close.
#[must_use]
pub fn rate(points: &[(u64, u64)]) -> Option<Rate> {
    let (first, last) = (points.first()?, points.last()?);
    if last.0.saturating_sub(first.0) < DEFAULT_SPAN {
        return None;
    }
    let step = points.len().div_ceil(POINTS);
    let hours = |time: u64| time.saturating_sub(first.0) as f64 / HOUR;
    let taken = points.iter().rev().step_by(step);
    let slopes =
        slopes(&taken.map(|(time, bytes)| (hours(*time), *bytes as f64)).collect::<Vec<_>>());
    let at = |tenths: usize| {
        let slope = slopes.get(slopes.len().saturating_sub(1) * tenths / 10)?;
        Some(slope.max(0.0).round() as u64)
    };
    Some(Rate { bytes: at(5)?, low: at(1)?, high: at(9)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000_000_000;

    #[test]
    fn a_steady_figure_has_one_rate_and_one_odd_point_does_not_move_it() {
        let mut points: Vec<(u64, u64)> = (0..20).map(|n| (n * MINUTE, 100 * n)).collect();
        assert_eq!(rate(&points), Some(Rate { bytes: 6000, low: 6000, high: 6000 }));
        points[10].1 += 400;
        let odd = rate(&points).unwrap();
        assert_eq!(odd.bytes, 6000);
        assert!(odd.low <= 6000 && odd.high >= 6000);
    }

    #[test]
    fn the_interval_holds_the_slower_and_the_faster_half() {
        let slow = (0..10).map(|n| (n * MINUTE, 10 * n));
        let fast = (10..20).map(|n| (n * MINUTE, 100 + 30 * (n - 10)));
        let rate = rate(&slow.chain(fast).collect::<Vec<_>>()).unwrap();
        assert!(rate.low <= 700 && rate.high >= 1500 && rate.low < rate.bytes, "{rate:?}");
    }

    #[test]
    fn less_than_a_minute_or_a_point_is_no_rate() {
        assert_eq!(rate(&[]), None);
        assert_eq!(rate(&[(0, 1)]), None);
        assert_eq!(rate(&[(0, 1), (MINUTE - 1, 2)]), None);
        assert!(rate(&[(0, 1), (MINUTE, 2)]).is_some());
    }

    #[test]
    fn many_points_and_great_numbers_are_no_trouble() {
        let points: Vec<(u64, u64)> = (0..5000).map(|n| (n * MINUTE, n * (1 << 50))).collect();
        let told = rate(&points).unwrap().bytes;
        assert!(told.abs_diff(60 << 50) < 1 << 12, "{told}");
        assert_eq!(rate(&[(0, 0), (MINUTE, u64::MAX)]).unwrap().bytes, u64::MAX);
    }
}
