//! Robust statistics of a short series: no outlier moves them.

/// The middle one of `values`; 0 if there are none.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        n if n % 2 == 1 => values[n / 2],
        n => f64::midpoint(values[n / 2 - 1], values[n / 2]),
    }
}

/// A standard deviation from the median of absolute deviations, as a normal distribution has it.
pub(super) fn spread(values: &[f64]) -> f64 {
    let middle = median(values.to_vec());
    1.4826 * median(values.iter().map(|value| (value - middle).abs()).collect())
}

/// Kendall's tau of the values by their order, and its z.
pub(super) fn kendall(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mut sum = 0_i64;
    for (at, one) in values.iter().enumerate() {
        sum += values[at + 1..].iter().map(|other| other.total_cmp(one) as i64).sum::<i64>();
    }
    let pairs = n * (n - 1.0) / 2.0;
    let deviation = (n * (n - 1.0) * (2.0 * n + 5.0) / 18.0).sqrt();
    (sum as f64 / pairs, sum as f64 / deviation)
}

/// The slopes between all pairs of points that are not above one another, ascending. Their median is
/// Theil and Sen's: one late or early point does not move it.
pub(super) fn slopes(points: &[(f64, f64)]) -> Vec<f64> {
    let mut slopes = Vec::with_capacity(points.len() * points.len() / 2);
    for (at, one) in points.iter().enumerate() {
        let others = points[at + 1..].iter().filter(|other| other.0 != one.0);
        slopes.extend(others.map(|other| (other.1 - one.1) / (other.0 - one.0)));
    }
    slopes.sort_unstable_by(f64::total_cmp);
    slopes
}

/// Values one apart, as points.
pub(super) fn one_apart(values: &[f64]) -> Vec<(f64, f64)> {
    values.iter().enumerate().map(|(at, value)| (at as f64, *value)).collect()
}

/// Correlation of the values with themselves `lag` later.
pub(super) fn autocorrelation(values: &[f64], lag: usize) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let product = |(one, other): (&f64, &f64)| (one - mean) * (other - mean);
    let whole: f64 = values.iter().zip(values).map(product).sum();
    let shifted: f64 = values.iter().zip(&values[lag..]).map(product).sum();
    if whole > 0.0 { shifted / whole } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_with_an_outlier_keeps_its_slope() {
        let mut line: Vec<f64> = (0..21).map(|n| f64::from(n) * 3.0).collect();
        assert_eq!(kendall(&line).0, 1.0);
        line[7] = 10_000.0;
        let slopes = slopes(&one_apart(&line));
        assert_eq!(slopes.len(), 210);
        assert_eq!(slopes[105], 3.0);
        let rest: Vec<f64> = line.iter().enumerate().map(|(n, v)| v - 3.0 * n as f64).collect();
        assert_eq!(spread(&rest), 0.0);
    }

    #[test]
    fn what_repeats_correlates_at_its_period() {
        let wave: Vec<f64> = (0..40).map(|n| [0.0, 1.0, 4.0, 1.0][n % 4]).collect();
        assert!(autocorrelation(&wave, 4) > 0.8);
        assert!(autocorrelation(&wave, 2) < 0.0);
        assert_eq!(autocorrelation(&[1.0; 9], 3), 0.0);
    }
}
