//! When a site's blocks were born: counts in at most [`BINS`] bins, which widen with the run.

/// Bins at most: 512 bytes a site, and in a run of four hours they are some minutes wide.
const BINS: usize = 128;

/// Counts of births by bins of equal width; bin `n` begins at `n` widths.
#[derive(Clone, Debug)]
pub(super) struct Births {
    width: u64,
    first: u64,
    counts: Vec<u32>,
}

impl Births {
    /// No births; the bins are `width` wide at first.
    pub const fn new(width: u64) -> Self {
        Self { width, first: 0, counts: Vec::new() }
    }

    /// A block was born at `at`. One born before the first that was told counts as born then.
    pub fn add(&mut self, at: u64) {
        if self.counts.is_empty() {
            self.first = at / self.width;
        }
        while (at / self.width).saturating_sub(self.first) >= BINS as u64 {
            self.widen();
        }
        let bin = (at / self.width).saturating_sub(self.first) as usize;
        if bin >= self.counts.len() {
            self.counts.resize(bin + 1, 0);
        }
        self.counts[bin] = self.counts[bin].saturating_add(1);
    }

    fn widen(&mut self) {
        let odd = (self.first % 2) as usize;
        let mut wider = vec![0_u32; (self.counts.len() + odd).div_ceil(2)];
        for (bin, count) in self.counts.iter().enumerate() {
            let joined = &mut wider[(bin + odd) / 2];
            *joined = joined.saturating_add(*count);
        }
        (self.width, self.first, self.counts) = (self.width * 2, self.first / 2, wider);
    }

    pub const fn width(&self) -> u64 {
        self.width
    }

    /// How many were born in the bins from `from` to before `to`.
    pub fn between(&self, from: u64, to: u64) -> u64 {
        let at = |bin: u64| (bin.saturating_sub(self.first)).min(self.counts.len() as u64) as usize;
        self.counts[at(from)..at(to).max(at(from))].iter().map(|count| u64::from(*count)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_birth_is_lost_when_bins_widen() {
        let mut births = Births::new(10);
        let told: Vec<u64> = (0..3_000_u64).map(|n| 777 + n * n / 7).collect();
        for at in &told {
            births.add(*at);
            assert!(births.counts.len() <= BINS);
        }
        let width = births.width();
        assert!(width > 10 && births.counts.len() > BINS / 4);
        for (from, to) in [(0, u64::MAX), (0, 20), (20, 21), (33, 90), (90, 33)] {
            let naive = told.iter().filter(|at| (from..to).contains(&(*at / width))).count();
            assert_eq!(births.between(from, to), naive as u64, "{from} {to}");
        }
    }
}
