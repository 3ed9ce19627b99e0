//! Counts of right and wrong, and what they prove.

/// One detector over many pairs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Benign ones, and those of them flagged.
    pub benign: u64,
    /// See `benign`.
    pub false_alerts: u64,
    /// Leaking ones, and those of them flagged.
    pub leaking: u64,
    /// See `leaking`.
    pub found: u64,
}

impl Counts {
    /// Share of the flagged that leak, were there as many that leak as that do not.
    pub fn precision(&self) -> f64 {
        let (right, wrong) = (self.recall(), share(self.false_alerts, self.benign));
        if right > 0.0 { right / (right + wrong) } else { 0.0 }
    }

    /// Share of the leaking that are flagged.
    pub fn recall(&self) -> f64 {
        share(self.found, self.leaking)
    }

    /// Adds others.
    pub fn join(&mut self, other: &Self) {
        self.benign += other.benign;
        self.false_alerts += other.false_alerts;
        self.leaking += other.leaking;
        self.found += other.found;
    }
}

/// A part of a whole; 0 of nothing.
pub fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// The greatest rate at which `hits` or fewer in `tries` are as likely as one in twenty.
pub fn upper_bound(hits: u64, tries: u64) -> f64 {
    let (mut low, mut high) = (share(hits, tries), 1.0);
    for _ in 0..60 {
        let rate = f64::midpoint(low, high);
        if at_most(hits, tries, rate) > 0.05 { low = rate } else { high = rate }
    }
    high
}

/// Chance of `hits` or fewer in `tries`.
fn at_most(hits: u64, tries: u64, rate: f64) -> f64 {
    let mut log = tries as f64 * (1.0 - rate).ln();
    let mut sum = log.exp();
    for hit in 1..=hits.min(tries) {
        log += ((tries - hit + 1) as f64 / hit as f64).ln() + (rate / (1.0 - rate)).ln();
        sum += log.exp();
    }
    sum
}

/// The value that a share `share` of `values` does not exceed.
pub fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(((values.len() as f64 - 1.0) * share).round() as usize).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_in_twelve_hundred_is_less_than_one_in_four_hundred() {
        assert!((upper_bound(0, 1200) - 0.002_493).abs() < 1e-5);
        assert!((upper_bound(3, 100) - 0.0757).abs() < 1e-3);
        assert!(upper_bound(10, 10) > 0.999);
    }

    #[test]
    fn precision_is_of_as_many_leaking_as_benign() {
        let counts = Counts { benign: 1000, false_alerts: 10, leaking: 50, found: 45 };
        assert!((counts.precision() - 0.9 / 0.91).abs() < 1e-12);
    }
}
