//! The survivors of a site that belong together, and how they fill their time.

use super::births::Births;
use super::thresholds::{
    BINS, FEW, FILLED, FILLED_FEW, LARGEST_BIN, NEWEST_BINS, PAUSE_SHARE, SLACKENING,
};

/// A live block that outlived its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Survivor {
    pub born: u64,
    pub bytes: u64,
}

/// The newest survivors without a pause that is long for them; at least one.
#[derive(Debug)]
pub(super) struct Stretch {
    /// By birth.
    survivors: Vec<Survivor>,
    /// Nothing born later is old enough to tell.
    until: u64,
}

impl Stretch {
    /// The longest run, up to `until`, of the newest of `survivors` (by birth), if there is any.
    pub fn newest(mut survivors: Vec<Survivor>, until: u64) -> Option<Self> {
        survivors.truncate(survivors.partition_point(|survivor| survivor.born <= until));
        let (mut pause, mut next, mut from) = (0, until, survivors.len());
        for (at, Survivor { born, .. }) in survivors.iter().enumerate().rev() {
            pause = pause.max(next - born);
            next = *born;
            if pause <= (until - born) / PAUSE_SHARE {
                from = at;
            }
        }
        survivors.drain(..from);
        (!survivors.is_empty()).then_some(Self { survivors, until })
    }

    pub fn first(&self) -> u64 {
        self.survivors[0].born
    }

    fn last(&self) -> u64 {
        self.survivors[self.survivors.len() - 1].born
    }

    /// From the first birth to the last.
    pub fn span(&self) -> u64 {
        self.last() - self.first()
    }

    pub const fn blocks(&self) -> usize {
        self.survivors.len()
    }

    pub fn bytes(&self) -> u64 {
        self.survivors.iter().fold(0, |sum, survivor| sum.saturating_add(survivor.bytes))
    }

    /// Whether it fills its time: evenly, and until now.
    pub fn lasts(&self) -> bool {
        let counts = self.bins(self.until, |_| 1);
        let few = self.blocks() < FEW;
        let filled = counts.iter().filter(|count| **count > 0).count() as f64 / BINS as f64;
        let largest = counts.iter().max().copied().unwrap_or(0) as f64 / self.blocks() as f64;
        filled >= if few { FILLED_FEW } else { FILLED }
            && largest <= LARGEST_BIN
            && counts[BINS - NEWEST_BINS..].iter().all(|count| *count > 0)
    }

    /// Share of births that survive in the older half, over that in the newer; none while it is
    /// shorter than four bins of births. Births that nobody told of are as many as survived.
    pub fn thinning(&self, births: &Births) -> Option<f64> {
        let width = births.width();
        let (from, to) = (self.first() / width, self.until / width);
        let middle = from.midpoint(to);
        if to < from + 4 {
            return None;
        }
        let at = |bin: u64| self.survivors.partition_point(|one| one.born / width < bin) as u64;
        let share = |from: u64, to: u64| {
            let survived = at(to) - at(from);
            survived as f64 / births.between(from, to).max(survived).max(1) as f64
        };
        let newer = share(middle, to);
        (newer > 0.0).then(|| share(from, middle) / newer)
    }

    /// Whether it comes to an end: most of what is born survives, and less and less is born. Where most
    /// is given back, fewer survivors are less load.
    pub fn slackens(&self, births: &Births) -> bool {
        let width = births.width();
        let born = births.between(self.first() / width, self.until / width + 1);
        let middle = self.first().midpoint(self.until);
        let older = self.survivors.partition_point(|one| one.born < middle);
        let newer = self.blocks() - older;
        self.blocks() as u64 * 2 > born && (newer as f64) < SLACKENING * older as f64
    }

    /// Bytes in `unit` positions, and that give or take two standard errors.
    pub fn rate(&self, unit: u64) -> (f64, [f64; 2]) {
        let units = self.span().max(1) as f64 / unit as f64;
        // The first block opens the span, and the others fill it.
        let rate = (self.bytes() - self.survivors[0].bytes) as f64 / units;
        let bins = self.bins(self.last(), |bytes| bytes).map(|bytes| bytes as f64);
        let mean = bins.iter().sum::<f64>() / BINS as f64;
        let squares: f64 = bins.iter().map(|bytes| (bytes - mean).powi(2)).sum();
        let variance = squares / (BINS - 1) as f64;
        let error = (variance * BINS as f64).sqrt() / units;
        (rate, [(rate - 2.0 * error).max(0.0), rate + 2.0 * error])
    }

    /// What the survivors weigh in each of [`BINS`] equal parts of the time from the first to `until`.
    fn bins(&self, until: u64, weight: impl Fn(u64) -> u64) -> [u64; BINS] {
        let first = self.first();
        let span = u128::from((until - first).max(1));
        let mut bins = [0_u64; BINS];
        for Survivor { born, bytes } in &self.survivors {
            let bin = u128::from(born - first) * BINS as u128 / span;
            let bin = &mut bins[(bin as usize).min(BINS - 1)];
            *bin = bin.saturating_add(weight(*bytes));
        }
        bins
    }
}
