//! Growth of totals: what a process holds rises for good, whoever takes it.
//!
//! ```text
//! bytes      ╭╮   ╭╮    ╭─╮   ╭╮
//!        ╭╮  ││ ╭╮││ ╭╮ │ │╭╮ ││╭╮       valley: the least of a window or a step
//!        ││╭╮│╰─╯╰╯╰─╯╰─╯ ╰╯╰─╯╰╯╰──     they rise, and go on rising
//!    ╭───╯╰╯╰╯
//! ───╯
//!    start  ├──────── judged ───────┤
//! ```
//!
//! It grows when the valleys after the start rise one after the other, by more than their noise, in
//! each third of the time, not in one increment, and in the second half as well. Growth that is
//! none is told by what it is instead: a step change, saturating, periodic. One series cannot tell
//! a leak from load that rises for hours, so growth alone makes a process suspect, never more.
//! All numbers and their reasons: [`super::thresholds`].

use super::thresholds::{
    BEGINNINGS, LARGEST_INCREMENT, LASTING, OVER_NOISE, PERIODIC, PLATEAU, PLATEAU_SHARE,
    SPREAD_OUT, START_RISE, TAU, TAU_Z, THIRD, VALLEYS, WARM_UP_SHARE, Windows,
};
use super::trend::{autocorrelation, kendall, median, one_apart, slopes, spread};
use super::valleys::Valleys;

/// Totals grow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Growing {
    /// Bytes in a unit (a minute, or a step).
    pub rate: f64,
    /// The 10th and 90th percentile of the slopes between valleys: what a time to OOM follows from.
    pub rate_between: [f64; 2],
    /// What the trend adds up to since `since`, bytes.
    pub bytes: u64,
    /// Begin of what was judged, as a position.
    pub since: u64,
    /// Growth over noise.
    pub over_noise: f64,
}

/// What the detector says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    /// Too few valleys after the start.
    NotEnough,
    /// Nothing rises above the noise.
    Level,
    /// It grows.
    Growing(Growing),
    /// It grew in one increment.
    Step {
        /// Begin of the window that was higher, as a position.
        at: u64,
        /// Positions in a window: it may have grown late in the one before.
        width: u64,
        /// By how much, bytes.
        bytes: u64,
    },
    /// It grew, and comes to an end.
    Saturating,
    /// It comes and goes.
    Periodic {
        /// In positions.
        period: u64,
    },
}

/// The detector for one figure of one device of one process.
#[derive(Clone, Debug)]
pub struct Growth {
    windows: Windows,
    begin: Option<u64>,
    now: u64,
    valleys: Valleys,
}

impl Growth {
    /// A detector that has seen nothing.
    #[must_use]
    pub const fn new(windows: Windows) -> Self {
        Self { windows, begin: None, now: 0, valleys: Valleys::new(windows.valley) }
    }

    /// The figure is `bytes` from `at` on.
    pub fn push(&mut self, at: u64, bytes: u64) {
        self.begin.get_or_insert(at);
        self.now = self.now.max(at);
        self.valleys.push(at, bytes);
    }

    /// Whether it grows.
    #[must_use]
    pub fn check(&self) -> Verdict {
        let Some(begin) = self.begin else { return Verdict::NotEnough };
        let start = self.windows.warm_up.max((self.now - begin) / WARM_UP_SHARE);
        let warm = begin.saturating_add(start);
        let width = self.valleys.width();
        let skipped = (warm - self.valleys.begin()).div_ceil(width) as usize;
        let over = self.valleys.over();
        let from = after_start(over, skipped);
        let judged: Vec<f64> = over[from..].iter().map(|bytes| *bytes as f64).collect();
        let least = VALLEYS.max(self.windows.total_span.div_ceil(width) as usize);
        let mut verdict = Verdict::NotEnough;
        // What begins in mid-run is met by a later beginning.
        for eighths in 0..BEGINNINGS {
            let skipped = judged.len() * eighths / 8;
            if judged.len() - skipped < least {
                break;
            }
            let since = self.valleys.begin() + (from + skipped) as u64 * width;
            match self.judge(&judged[skipped..], since) {
                found @ Verdict::Growing(_) => return found,
                other if eighths == 0 => verdict = other,
                _ => {}
            }
        }
        verdict
    }

    fn judge(&self, valleys: &[f64], since: u64) -> Verdict {
        let width = self.valleys.width();
        let slopes = slopes(&one_apart(valleys));
        let slope = slopes[slopes.len() / 2];
        let unit = self.windows.unit as f64 / width as f64;
        let total = slope * (valleys.len() - 1) as f64;
        let rest: Vec<f64> =
            valleys.iter().enumerate().map(|(at, bytes)| bytes - slope * at as f64).collect();
        // A straight line leaves nothing unexplained; a byte keeps the quotient finite.
        let over_noise = total / spread(&rest).max(1.0);
        if let Some(step) = self.step(valleys, since) {
            return step;
        }
        let (tau, z) = kendall(valleys);
        let rises = tau > TAU && z > TAU_Z && slope * unit > self.windows.total_floor as f64;
        if !rises || over_noise <= OVER_NOISE {
            return periodic(valleys, width).unwrap_or(Verdict::Level);
        }
        let half = self::slopes(&one_apart(&valleys[valleys.len() / 2..]));
        let increments = valleys.windows(2).map(|two| two[1] - two[0]).collect();
        if median(increments) <= SPREAD_OUT * slope
            || half[half.len() / 2] <= LASTING * slope
            || !in_each_third(valleys)
        {
            return Verdict::Saturating;
        }
        let percentile = |hundredths: usize| slopes[slopes.len() * hundredths / 100] * unit;
        Verdict::Growing(Growing {
            rate: slope * unit,
            rate_between: [percentile(10), percentile(90)],
            bytes: total as u64,
            since,
            over_noise,
        })
    }

    /// One increment that is most of the growth, and lies above all that the valleys do otherwise.
    fn step(&self, valleys: &[f64], since: u64) -> Option<Verdict> {
        let ends = valleys.len() / 5;
        let total =
            median(valleys[valleys.len() - ends..].to_vec()) - median(valleys[..ends].to_vec());
        let increments: Vec<f64> = valleys.windows(2).map(|two| two[1] - two[0]).collect();
        let (at, largest) = increments.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1))?;
        let floor = self.windows.total_floor * self.windows.total_span / self.windows.unit;
        let above = median(valleys[at + 1..].to_vec()) - median(valleys[..=at].to_vec());
        let is_step = total > floor as f64
            && *largest >= LARGEST_INCREMENT * total
            && above >= LARGEST_INCREMENT * total;
        let width = self.valleys.width();
        is_step.then_some(Verdict::Step {
            at: since + (at as u64 + 1) * width,
            width,
            bytes: *largest as u64,
        })
    }
}

/// The first valley after the start: after the warm-up, and in a plateau, or where the valleys rise no
/// faster than in the second half of the run.
fn after_start(valleys: &[u64], skipped: usize) -> usize {
    let half: Vec<f64> = valleys[valleys.len() / 2..].iter().map(|bytes| *bytes as f64).collect();
    let slopes = slopes(&one_apart(&half));
    let slope = slopes.get(slopes.len() / 2).map_or(0.0, |slope| slope.max(0.0));
    let level = |run: &[u64]| {
        let (least, most) = (run.iter().min(), run.iter().max());
        least.zip(most).is_some_and(|(least, most)| {
            let rises = START_RISE * slope * (PLATEAU - 1) as f64;
            (most - least) as f64 <= (most / PLATEAU_SHARE) as f64 + rises
        })
    };
    let plateau = valleys.windows(PLATEAU).position(level).unwrap_or(valleys.len());
    plateau.max(skipped).min(valleys.len())
}

/// Whether each third of the time brings its share of the growth.
fn in_each_third(valleys: &[f64]) -> bool {
    let ends = (valleys.len() / 10).max(1);
    let level = |at: usize| {
        let from = at.saturating_sub(ends);
        median(valleys[from..(at + ends + 1).min(valleys.len())].to_vec())
    };
    let last = valleys.len() - 1;
    let levels = [0, last / 3, last * 2 / 3, last].map(level);
    let total = levels[3] - levels[0];
    levels.windows(2).all(|third| third[1] - third[0] > THIRD * total)
}

/// The lag at which the valleys, having gone apart, are most like themselves.
fn periodic(valleys: &[f64], width: u64) -> Option<Verdict> {
    let by_lag: Vec<f64> =
        (0..valleys.len() / 2).map(|lag| autocorrelation(valleys, lag)).collect();
    let apart = by_lag.iter().position(|correlation| *correlation < 0.0)?;
    let (lag, most) =
        by_lag.iter().enumerate().skip(apart).max_by(|one, other| one.1.total_cmp(other.1))?;
    (*most >= PERIODIC).then_some(Verdict::Periodic { period: lag as u64 * width })
}
