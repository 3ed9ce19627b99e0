//! Creep: reserved memory grows in jumps while allocated memory returns to its base.
//!
//! ```text
//! reserved             ┌─────────┐ jump ┌──────
//!          ┌───────────┘         └──────┘   the allocator keeps what the largest request needed
//! ─────────┘
//! allocated  ╱╲      ╱╲     ╱╲     ╱╲
//!  ─────────╱  ╲____╱  ╲___╱  ╲___╱  ╲____  each request gives back all it took
//! ```
//!
//! A *trough* is a minimum of allocated between two rises of at least the greater of
//! [`DEFAULT_RISE`] and [`DEFAULT_RISE_SHARE`] of its range. It is a creep when over at least
//! [`DEFAULT_TROUGHS`] troughs allocated stays within the greater of [`DEFAULT_STEADY`] and
//! [`DEFAULT_STEADY_SHARE`] of their median while reserved gains at least [`DEFAULT_GAIN`] in at
//! least [`DEFAULT_JUMPS`] jumps. If no jump falls in the last third of the troughs it is
//! *plateaued*.
//!
//! How the rule is read where it leaves room:
//! - Its range is that of the stretch looked at, so that loading a model once does not hide the
//!   requests after it. The longest stretch up to now for which the rule holds is the one reported.
//! - Reserved at a trough is the least until allocated rises again: a program that calls
//!   `empty_cache()` after each request does not creep, however much each request took.
//! - A stretch begins at its least reserved: memory given back is not held against the program.
//! - What reserved gained because allocated's base rose is a leak, and not counted as creep; nor is a
//!   jump that only made room for it. A leak's many jumps after a warm-up's one are no creep.
//! - Thirds are counted in troughs, not in time: a server that idles over night is not cured.

use super::swing::{Growths, Rest, Swings, Turn, coarser};
use crate::state::Site;

const MIB: u64 = 1 << 20;

/// Least rise around a trough, bytes: below it are the steps within one request, not requests.
pub const DEFAULT_RISE: u64 = 16 * MIB;
/// Least rise around a trough as a share of allocated's range, one in so many: the small swings of
/// a large program are not its requests.
pub const DEFAULT_RISE_SHARE: u64 = 10;
/// Least number of troughs: fewer may be the warm-up.
pub const DEFAULT_TROUGHS: usize = 5;
/// How far from their median the troughs may lie, bytes: caches of a few tensors come and go.
pub const DEFAULT_STEADY: u64 = 64 * MIB;
/// How far from their median the troughs may lie as a share of it, one in so many.
pub const DEFAULT_STEADY_SHARE: u64 = 10;
/// Least gain, bytes: nobody runs out of memory for less.
pub const DEFAULT_GAIN: u64 = 64 * MIB;
/// Least number of jumps: one or two may be a workspace taken late.
pub const DEFAULT_JUMPS: usize = 3;

/// A moment at which a trough found more reserved than any before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Jump {
    /// When the trough after it was reached, ns of `CLOCK_MONOTONIC`.
    pub time: u64,
    /// By how much, bytes.
    pub bytes: u64,
    /// Whose allocations took most of it from the driver, where that was seen.
    pub site: Option<Site>,
}

/// Reserved memory crept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What reserved gained and allocated does not explain, bytes.
    pub bytes: u64,
    /// Since when: the first trough of the stretch, ns of `CLOCK_MONOTONIC`.
    pub since: u64,
    /// When the last trough of the stretch was reached.
    pub until: u64,
    /// The jumps by time.
    pub jumps: Vec<Jump>,
    /// Number of troughs in the stretch.
    pub troughs: u64,
    /// Median of allocated at the troughs, bytes.
    pub base: u64,
    /// Reserved at the last trough, bytes.
    pub reserved: u64,
    /// Whose allocations took most of the gain from the driver, where that was seen.
    pub site: Option<Site>,
    /// No jump falls in the last third: it may have stopped.
    pub plateaued: bool,
}

/// What the detector says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Enough was seen, and it is no creep.
    Fine,
    /// It is one.
    Creep(Finding),
    /// Too few troughs, or none at the same base, to say anything.
    NotEnough,
}

/// The detector for one device of one process.
#[derive(Clone, Debug)]
pub struct Creep {
    swings: Swings,
}

impl Default for Creep {
    fn default() -> Self {
        Self { swings: Swings::new(DEFAULT_RISE) }
    }
}

impl Creep {
    /// The figures after one event: bytes in PyTorch's blocks, bytes its allocator holds, and what
    /// the event showed it to have taken from the driver, by whom.
    pub fn push(
        &mut self,
        time: u64,
        allocated: u64,
        reserved: u64,
        grown: impl Iterator<Item = (Site, u64)>,
    ) {
        self.swings.push(time, allocated, reserved, grown);
    }

    /// The last moment between requests, as far as that is known.
    #[must_use]
    pub fn rest(&self) -> Option<Rest> {
        self.swings.rest(DEFAULT_STEADY, DEFAULT_STEADY_SHARE)
    }

    /// Whether it creeps.
    #[must_use]
    pub fn check(&self) -> Verdict {
        let turns = self.swings.turns();
        let mut verdict = Verdict::NotEnough;
        let mut from = 0;
        // Half as long each time: any stretch is met by one at least half its length.
        while turns.len() - from >= DEFAULT_TROUGHS {
            match judge(&turns[from..], self.swings.peak()) {
                found @ Verdict::Creep(_) => return found,
                Verdict::Fine => verdict = Verdict::Fine,
                Verdict::NotEnough => {}
            }
            from += (turns.len() - from).div_ceil(2);
        }
        verdict
    }
}

/// The rule over one stretch of turns.
fn judge(turns: &[Turn], last_peak: u64) -> Verdict {
    let highest = turns.iter().map(|turn| turn.peak).max().unwrap_or(0).max(last_peak);
    let lowest = turns.iter().map(|turn| turn.allocated).min().unwrap_or(0);
    let rise = DEFAULT_RISE.max(highest.saturating_sub(lowest) / DEFAULT_RISE_SHARE);
    let troughs = coarser(turns, last_peak, rise);
    let steady = steady(&troughs);
    if steady.len() < DEFAULT_TROUGHS {
        return Verdict::NotEnough;
    }
    let least = steady.iter().map(|trough| trough.reserved).min();
    let first = steady.iter().rposition(|trough| Some(trough.reserved) == least).unwrap_or(0);
    let stretch = &steady[first..];
    if stretch.len() < DEFAULT_TROUGHS {
        return Verdict::Fine;
    }
    finding(stretch).map_or(Verdict::Fine, Verdict::Creep)
}

/// The longest run of troughs up to the last one in which allocated stays near their median.
fn steady(troughs: &[Turn]) -> &[Turn] {
    let mut sorted: Vec<u64> = Vec::with_capacity(troughs.len());
    let mut from = troughs.len();
    for (at, trough) in troughs.iter().enumerate().rev() {
        let place = sorted.partition_point(|allocated| *allocated < trough.allocated);
        sorted.insert(place, trough.allocated);
        let median = sorted[sorted.len() / 2];
        let near = DEFAULT_STEADY.max(median / DEFAULT_STEADY_SHARE);
        if sorted[sorted.len() - 1] - median <= near && median - sorted[0] <= near {
            from = at;
        }
    }
    &troughs[from..]
}

fn median(troughs: &[Turn]) -> u64 {
    let mut sorted: Vec<u64> = troughs.iter().map(|trough| trough.allocated).collect();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or(0)
}

/// How much the base of allocated rose over a stretch: from the median of its first third to that of
/// its last, and on at that rate over the whole.
fn base_rose(stretch: &[Turn]) -> u64 {
    let length = stretch.len();
    let third = length.div_ceil(3);
    let between = median(&stretch[length - third..]).saturating_sub(median(&stretch[..third]));
    between.saturating_mul(length as u64 - 1) / (length - third) as u64
}

/// A trough that found more reserved than any before it.
struct Rise {
    jump: Jump,
    /// How much more than at the first trough.
    above: u64,
    /// Troughs after the first one, up to this one.
    passed: u64,
    grown: Growths,
}

fn rises(stretch: &[Turn]) -> Vec<Rise> {
    let Some((first, rest)) = stretch.split_first() else { return Vec::new() };
    let (mut highest, mut passed) = (first.reserved, 0);
    let mut grown = Growths::default();
    let mut rises = Vec::new();
    for trough in rest {
        passed += trough.troughs;
        grown.join(&trough.grown);
        if trough.reserved > highest {
            let bytes = trough.reserved - highest;
            let jump = Jump { time: trough.time, bytes, site: grown.largest() };
            let (above, grown) = (trough.reserved - first.reserved, std::mem::take(&mut grown));
            rises.push(Rise { jump, above, passed, grown });
            highest = trough.reserved;
        }
    }
    rises
}

/// The rises that are none of the base's, which rose evenly over so many troughs: most of what each
/// took brings reserved further beyond the base than it was.
fn beyond_base(mut rises: Vec<Rise>, base_rose: u64, troughs: u64) -> Vec<Rise> {
    let mut most = 0;
    rises.retain(|rise| {
        let base = u128::from(base_rose) * u128::from(rise.passed) / u128::from(troughs.max(1));
        let beyond = rise.above.saturating_sub(base as u64);
        let is_beyond = base_rose == 0 || beyond > most + rise.jump.bytes / 2;
        most = if is_beyond { beyond } else { most };
        is_beyond
    });
    rises
}

fn finding(stretch: &[Turn]) -> Option<Finding> {
    let (first, last) = (stretch.first()?, stretch.last()?);
    let base_rose = base_rose(stretch);
    let bytes = last.reserved.saturating_sub(first.reserved).saturating_sub(base_rose);
    let troughs: u64 = stretch.iter().map(|trough| trough.troughs).sum();
    let rises = beyond_base(rises(stretch), base_rose, troughs - first.troughs);
    let mut sites = Growths::default();
    rises.iter().for_each(|rise| sites.join(&rise.grown));
    let last_jump = rises.last().map_or(0, |rise| first.troughs + rise.passed);
    let jumps: Vec<Jump> = rises.into_iter().map(|rise| rise.jump).collect();
    (bytes >= DEFAULT_GAIN && jumps.len() >= DEFAULT_JUMPS).then(|| Finding {
        bytes,
        since: first.time,
        until: last.time,
        jumps,
        troughs,
        base: median(stretch),
        reserved: last.reserved,
        site: sites.largest(),
        plateaued: last_jump * 3 <= troughs * 2,
    })
}
