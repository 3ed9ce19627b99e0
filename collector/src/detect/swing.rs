//! The ups and downs of allocated memory, and what was reserved at the bottom of each.
//!
//! ```text
//! allocated    ╱╲  peak      ╱╲
//!             ╱  ╲   ╱╲     ╱  ╲        a turn = a peak and the trough after it; both sides of a
//!            ╱    ╲_╱  ╲   ╱    ╲       trough rise by at least the step, or it is none
//!                       ╲_╱      ╲
//!                 trough   trough
//! ```
//!
//! Fed event by event at a cost that does not grow: of many turns the older ones are joined with
//! their neighbours, all of them to the same measure, and the newest stand as they are.

use crate::state::Site;

/// Turns kept, joined or not.
const KEPT: usize = 2048;
/// Contributors kept per turn; smaller ones are forgotten first.
const CONTRIBUTORS: usize = 8;

/// Who took how much from the driver for PyTorch's allocator.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) struct Growths(Vec<(Site, u64)>);

impl Growths {
    pub fn add(&mut self, site: Site, bytes: u64) {
        match self.0.iter_mut().find(|(known, _)| *known == site) {
            Some((_, sum)) => *sum = sum.saturating_add(bytes),
            None => self.0.push((site, bytes)),
        }
        if self.0.len() > CONTRIBUTORS {
            let least = (0..self.0.len()).min_by_key(|at| self.0[*at].1);
            least.map(|at| self.0.swap_remove(at));
        }
    }

    pub fn join(&mut self, other: &Self) {
        other.0.iter().for_each(|(site, bytes)| self.add(*site, *bytes));
    }

    pub fn largest(&self) -> Option<Site> {
        self.0.iter().max_by_key(|(_, bytes)| *bytes).map(|(site, _)| *site)
    }
}

/// A peak and the trough after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    /// Most allocated before the trough, since the one before.
    pub peak: u64,
    /// When the trough's least allocated was reached first.
    pub time: u64,
    /// Least allocated.
    pub allocated: u64,
    /// Least reserved from then until allocated rose again: what nobody gave back.
    pub reserved: u64,
    /// How many troughs this stands for.
    pub troughs: u64,
    /// What the allocator took since the trough before.
    pub grown: Growths,
}

impl Turn {
    /// This turn and the next one as one: the lower trough is the trough of both.
    fn join(self, next: Self) -> Self {
        let peak = self.peak.max(next.peak);
        let troughs = self.troughs + next.troughs;
        let mut grown = self.grown.clone();
        grown.join(&next.grown);
        let lower = if next.allocated <= self.allocated { next } else { self };
        Self { peak, troughs, grown, ..lower }
    }
}

/// A moment between requests: what they took was given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rest {
    /// When, ns of `CLOCK_MONOTONIC`: a block that was there then and still is has outlived the
    /// requests before it.
    pub time: u64,
    /// Most allocated at once since requests are as they are now.
    pub peak: u64,
}

/// Turns that must be known before a trough counts as rest: the first may be a step of loading.
const TURNS_TO_REST: usize = 3;

/// Turns of a series whose two sides rise by at least `step`.
#[derive(Clone, Debug)]
pub(super) struct Swings {
    step: u64,
    turns: Vec<Turn>,
    /// How many of them, from the front, are old: joined up to `measure` troughs each.
    old: usize,
    measure: u64,
    /// Most allocated since the last trough.
    peak: u64,
    /// The trough that is being gone through: it counts once allocated has risen from it.
    low: Option<Turn>,
    /// What was taken since the last trough, and since the bottom of this one.
    grown: Growths,
    grown_since_low: Growths,
}

impl Swings {
    pub fn new(step: u64) -> Self {
        Self {
            step,
            turns: Vec::new(),
            old: 0,
            measure: 1,
            peak: 0,
            low: None,
            grown: Growths::default(),
            grown_since_low: Growths::default(),
        }
    }

    pub fn turns(&self) -> &[Turn] {
        &self.turns
    }

    /// Most allocated since the last trough that counts.
    pub fn peak(&self) -> u64 {
        self.peak
    }

    /// The last moment of rest: the latest trough that is as low as they come lately, within the
    /// greater of `near` bytes and one part in `share`. A trough in the midst of a request is higher.
    pub fn rest(&self, near: u64, share: u64) -> Option<Rest> {
        let turns = &self.turns;
        if turns.len() < TURNS_TO_REST {
            return None;
        }
        let lately = &turns[turns.len() / 2..];
        let lowest = lately.iter().map(|turn| turn.allocated).min()?;
        let reach = lowest.saturating_add(near.max(lowest / share));
        let last = lately.iter().rfind(|turn| turn.allocated <= reach)?;
        let peak = lately.iter().map(|turn| turn.peak).max()?.max(self.peak);
        Some(Rest { time: last.time, peak })
    }

    /// The series after one event, and what the event showed the allocator to have taken.
    pub fn push(
        &mut self,
        time: u64,
        allocated: u64,
        reserved: u64,
        grown: impl Iterator<Item = (Site, u64)>,
    ) {
        match &mut self.low {
            Some(low) if allocated < low.allocated => {
                (low.time, low.allocated, low.reserved) = (time, allocated, reserved);
                self.grown.join(&std::mem::take(&mut self.grown_since_low));
            }
            Some(low) => {
                if reserved < low.reserved {
                    low.reserved = reserved;
                    self.grown.join(&std::mem::take(&mut self.grown_since_low));
                }
                if allocated - low.allocated >= self.step {
                    self.rise(allocated);
                }
            }
            None => {
                self.peak = self.peak.max(allocated);
                if self.peak - allocated >= self.step {
                    let grown = Growths::default();
                    self.low = Some(Turn {
                        peak: self.peak,
                        time,
                        allocated,
                        reserved,
                        troughs: 1,
                        grown,
                    });
                }
            }
        }
        let since = if self.low.is_some() { &mut self.grown_since_low } else { &mut self.grown };
        grown.for_each(|(site, bytes)| since.add(site, bytes));
    }

    /// Allocated rose from the trough: it counts.
    fn rise(&mut self, allocated: u64) {
        let Some(low) = self.low.take() else { return };
        let since_low = std::mem::take(&mut self.grown_since_low);
        let grown = std::mem::replace(&mut self.grown, since_low);
        self.turns.push(Turn { grown, ..low });
        self.peak = allocated;
        if self.turns.len() >= KEPT {
            self.age();
        }
    }

    /// Makes room: the oldest of the recent turns become old.
    fn age(&mut self) {
        let mut recent = self.turns.split_off(self.old);
        let rest = recent.split_off(recent.len() / 2);
        append(&mut self.turns, recent, self.measure);
        if self.turns.len() >= KEPT / 2 {
            self.measure *= 2;
            let old = std::mem::take(&mut self.turns);
            append(&mut self.turns, old, self.measure);
        }
        self.old = self.turns.len();
        self.turns.extend(rest);
    }
}

/// Appends turns, joined to at most `measure` troughs each.
fn append(turns: &mut Vec<Turn>, more: Vec<Turn>, measure: u64) {
    for turn in more {
        match turns.pop() {
            Some(last) if last.troughs + turn.troughs <= measure => turns.push(last.join(turn)),
            last => turns.extend(last.into_iter().chain([turn])),
        }
    }
}

/// The turns among `turns` whose two sides rise by at least `step`; `last` is the most allocated
/// after the last of them.
pub(super) fn coarser(turns: &[Turn], last: u64, step: u64) -> Vec<Turn> {
    let mut found: Vec<Turn> = Vec::new();
    let mut peak = 0;
    let mut low: Option<Turn> = None;
    let mut skipped = Growths::default();
    let mut skipped_troughs = 0;
    for turn in turns {
        if let Some(bottom) = low.take_if(|low| turn.peak.saturating_sub(low.allocated) >= step) {
            found.push(bottom);
            peak = 0;
        }
        peak = peak.max(turn.peak);
        skipped.join(&turn.grown);
        skipped_troughs += turn.troughs;
        let lower = match &mut low {
            None => peak.saturating_sub(turn.allocated) >= step,
            Some(low) if turn.allocated < low.allocated => true,
            Some(low) => {
                low.reserved = low.reserved.min(turn.reserved);
                false
            }
        };
        if lower {
            let (mut grown, mut troughs) =
                low.take().map_or_else(Default::default, |low| (low.grown, low.troughs));
            grown.join(&std::mem::take(&mut skipped));
            troughs += std::mem::take(&mut skipped_troughs);
            low = Some(Turn { peak, grown, troughs, ..turn.clone() });
        }
    }
    found.extend(low.filter(|low| last.saturating_sub(low.allocated) >= step));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rest_is_the_latest_low_trough_and_none_in_the_midst_of_a_request() {
        let mut swings = Swings::new(10);
        let low = [5, 0, 1, 40, 30];
        for (n, allocated) in low.into_iter().enumerate() {
            swings.push(10 * n as u64, 100 + n as u64, 0, std::iter::empty());
            swings.push(10 * n as u64 + 5, allocated, 0, std::iter::empty());
        }
        // The last trough is being gone through still, and the one of 40 lay inside a request.
        assert_eq!(swings.rest(8, 10), Some(Rest { time: 25, peak: 104 }));
        assert_eq!(Swings::new(10).rest(8, 10), None);
    }

    #[test]
    fn turns_are_bounded_and_lose_no_trough_and_no_depth() {
        let mut swings = Swings::new(10);
        let mut pushed: u64 = 0;
        for n in 0..100_000_u64 {
            let low = if n == 777 { 5 } else { 100 };
            for allocated in [low, 200] {
                swings.push(n, allocated, n, std::iter::empty());
                pushed += u64::from(allocated == 200 && n > 0);
            }
            assert!(swings.turns().len() < KEPT);
        }
        let turns = swings.turns();
        assert!(turns.len() > KEPT / 4);
        assert_eq!(turns.iter().map(|turn| turn.troughs).sum::<u64>(), pushed);
        assert_eq!(turns.iter().map(|turn| turn.allocated).min(), Some(5));
        let largest = turns.iter().map(|turn| turn.troughs).max().unwrap();
        assert!(turns[..turns.len() / 4].iter().all(|turn| turn.troughs * 2 >= largest));
    }
}
