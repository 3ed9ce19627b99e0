//! Where in a run's steps a moment lies, while the run goes on.
//!
//! Which phase is the step is known only after some of them, and may turn out otherwise later (what is
//! inside of a step repeats earlier than the step). So the first begins of all phases are kept, and
//! the choice is looked at again each time a quarter more phases have ended.

use super::{
    NameId,
    steps::tiling,
    told::{Of, Told},
};

/// Begins kept for a choice that is made later. In more phases than that without a rhythm there is
/// none.
const KEPT: usize = 4096;
/// Steps followed: at ten a second it is a day. Later ones count as the last.
const MOST: usize = 1 << 20;

/// The steps of a run so far.
#[derive(Clone, Debug, Default)]
pub struct Stepping {
    chosen: Option<Of>,
    choices: u64,
    begins: Vec<u64>,
    early: Vec<(NameId, u64)>,
    ended: u64,
    next_choice: u64,
}

impl Stepping {
    /// Which choice of a step this is: 0 before the first.
    #[must_use]
    pub fn choice(&self) -> u64 {
        self.choices
    }

    /// When each step began, `CLOCK_MONOTONIC`, ns.
    #[must_use]
    pub fn begins(&self) -> &[u64] {
        &self.begins
    }

    /// The step that `time` lies in: 0 before the second step's begin.
    #[must_use]
    pub fn position(&self, time: u64) -> u64 {
        let after = match self.begins.last() {
            Some(last) if time >= *last => self.begins.len(),
            _ => self.begins.partition_point(|begin| *begin <= time),
        };
        after.saturating_sub(1) as u64
    }

    pub(super) fn began(&mut self, name: NameId, time: u64) {
        if self.early.len() < KEPT {
            self.early.push((name, time));
        }
        if self.chosen.is_some_and(|chosen| chosen.is(name)) {
            self.push(time);
        }
    }

    pub(super) fn ended(&mut self, told: &Told) {
        self.ended += 1;
        if self.ended < self.next_choice {
            return;
        }
        self.next_choice = self.ended + self.ended.div_ceil(4);
        let chosen = tiling(told.each()).map(|(of, _)| of);
        if chosen.is_none() || chosen == self.chosen {
            return;
        }
        self.chosen = chosen;
        self.choices += 1;
        self.begins.clear();
        let early = std::mem::take(&mut self.early);
        for (name, time) in &early {
            if self.chosen.is_some_and(|chosen| chosen.is(*name)) {
                self.push(*time);
            }
        }
        self.early = early;
    }

    /// A clock that jumps back begins no step.
    fn push(&mut self, time: u64) {
        if self.begins.len() < MOST && self.begins.last().is_none_or(|last| *last <= time) {
            self.begins.push(time);
        }
    }
}
