//! A straight line through what a process held after each wave.

use super::waves::Waves;
use crate::detect::thresholds::{MEASURED_STEPS, WARM_UP_STEPS};

/// Share of the scatter that the line must explain. With ten waves or more such a line is one by chance
/// in fewer than one of a hundred cases, so the usual p < 0.05 beside it asks nothing more.
pub const LEAST_R2: f64 = 0.7;

/// The line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trend {
    /// Bytes gained by a request.
    pub slope: f64,
    /// Share of the scatter that it explains.
    pub r2: f64,
}

/// The line through `bytes`, what was held after each wave, by requests answered until then. The warm-up
/// is left out. `None` if fewer than ten waves are left.
#[must_use]
pub fn trend(waves: &Waves, bytes: &[u64]) -> Option<Trend> {
    let measured = bytes.get(WARM_UP_STEPS..).filter(|bytes| bytes.len() >= MEASURED_STEPS)?;
    let mut answered = 0_u64;
    let requests = waves.measured().iter().map(|wave| {
        answered = answered.saturating_add(wave.requests);
        answered as f64
    });
    let points: Vec<(f64, f64)> = requests.zip(measured.iter().map(|b| *b as f64)).collect();
    let mean =
        |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / points.len() as f64;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let sum =
        |of: &dyn Fn(f64, f64) -> f64| points.iter().map(|p| of(p.0 - x, p.1 - y)).sum::<f64>();
    let (xx, xy, yy) = (sum(&|x, _| x * x), sum(&|x, y| x * y), sum(&|_, y| y * y));
    let r2 = if yy > 0.0 { xy * xy / (xx * yy) } else { 0.0 };
    Some(Trend { slope: xy / xx, r2 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::waves::Wave;

    fn waves(number: u64) -> Waves {
        let wave = |n| Wave { begin_monotonic_ns: n, begin_ns: n, end_ns: n + 1, requests: 5 };
        Waves((0..number).map(wave).collect())
    }

    #[test]
    fn a_line_has_its_slope_by_request_and_the_warm_up_no_say() {
        let mut bytes: Vec<u64> = (0..16).map(|n| 1000 + n * 50).collect();
        bytes[..3].fill(1 << 40);
        let trend = trend(&waves(16), &bytes).unwrap();
        assert!((trend.slope - 10.0).abs() < 1e-9 && trend.r2 > 0.999_999, "{trend:?}");
    }

    #[test]
    fn noise_is_no_line_and_what_stands_still_is_none() {
        let noise: Vec<u64> = (0..20).map(|n| 1000 + n * 7919 % 13).collect();
        assert!(trend(&waves(20), &noise).unwrap().r2 < LEAST_R2);
        assert_eq!(trend(&waves(20), &[7; 20]), Some(Trend { slope: 0.0, r2: 0.0 }));
    }

    #[test]
    fn nine_waves_are_too_few() {
        assert_eq!(trend(&waves(12), &[7; 12]), None);
    }

    #[test]
    fn a_line_that_explains_enough_is_none_by_chance() {
        // Student's t of such a line through ten points, and what one in a hundred exceeds by chance.
        let freedom = MEASURED_STEPS as f64 - 2.0;
        assert!((LEAST_R2 * freedom / (1.0 - LEAST_R2)).sqrt() > 3.355);
    }
}
