//! What is told of how a process's memory went: leaks and growth, in time or in steps.

use std::collections::{HashMap, HashSet};

use crate::{
    detect::{
        growth, leak, retained,
        thresholds::{BY_STEPS, BY_TIME, Windows},
    },
    phase::Stepping,
    state::{LiveBlock, Site},
};

/// What positions of a [`Trend`] count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// ns of `CLOCK_MONOTONIC`; rates are by the minute.
    Time,
    /// Steps; rates are by the step.
    Step,
}

impl Unit {
    /// The limits of the rules in this unit.
    #[must_use]
    pub const fn windows(self) -> Windows {
        match self {
            Self::Time => BY_TIME,
            Self::Step => BY_STEPS,
        }
    }

    /// What one of it is called.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Time => "minute",
            Self::Step => "step",
        }
    }

    /// What several of it are called.
    #[must_use]
    pub const fn plural(self) -> &'static str {
        match self {
            Self::Time => "minutes",
            Self::Step => "steps",
        }
    }
}

/// A leak, and when it was seen last.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Leak {
    /// What was found; its positions are those of the trend.
    pub found: leak::Finding,
    /// Birth of its first survivor, `CLOCK_MONOTONIC`, ns.
    pub since: u64,
    /// Whether it still held at the end of the timeline. A process that ends gives its blocks back,
    /// so what is told of one that has ended is what held at the last look before.
    pub lasts: bool,
}

/// What leaks and what grows on one device.
#[derive(Clone, Debug, PartialEq)]
pub struct Trend {
    /// What is counted in.
    pub unit: Unit,
    /// Time of one unit: a minute, or what a step takes in the mean; ns.
    pub unit_ns: u64,
    /// Units that are known.
    pub units: u64,
    /// Leaks, most bytes first.
    pub leaks: Vec<Leak>,
    /// What each step leaves behind; none without enough steps.
    pub retained: Option<Vec<retained::Finding>>,
    /// Bytes in blocks.
    pub allocated: Course,
    /// Physical bytes.
    pub reserved: Course,
}

/// How a figure went.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Course {
    /// In the detector's word; its positions are those of the trend.
    pub verdict: growth::Verdict,
    /// Since when it grows, or when it grew; `CLOCK_MONOTONIC`, ns.
    pub since: Option<u64>,
    /// Whose live blocks are most of those taken while it grew, and their bytes; of growth in one step
    /// only if they are most of that.
    pub most: Option<(Site, u64)>,
}

/// What positions mean.
#[derive(Clone, Copy)]
pub(super) struct Clock<'a> {
    pub unit: Unit,
    pub stepping: &'a Stepping,
    pub now: u64,
}

impl Clock<'_> {
    /// The position of a moment.
    pub fn at(&self, time: u64) -> u64 {
        match self.unit {
            Unit::Time => time,
            Unit::Step => self.stepping.position(time),
        }
    }

    fn time_of(&self, position: u64) -> u64 {
        match self.unit {
            Unit::Time => position,
            Unit::Step => {
                self.stepping.begins().get(position as usize).copied().unwrap_or(self.now)
            }
        }
    }

    /// A minute, or what a step takes in the mean.
    pub fn unit_ns(&self) -> u64 {
        match (self.unit, self.stepping.begins()) {
            (Unit::Step, [first, .., last]) => {
                (last - first) / (self.stepping.begins().len() as u64 - 1)
            }
            _ => BY_TIME.unit,
        }
    }

    /// What held at the last look and at the end.
    pub fn leaks(
        &self,
        before: &[leak::Finding],
        found: Vec<leak::Finding>,
        units: u64,
    ) -> Vec<Leak> {
        let windows = self.unit.windows();
        // Without having seen the time out in which a leak shows, nobody knows how long the site's
        // blocks ordinarily live.
        let seen = units * windows.unit >= windows.alert;
        let leak = |(found, lasts): (leak::Finding, bool)| {
            let sureness = if seen { found.sureness } else { leak::Sureness::Suspect };
            let since = self.time_of(found.since);
            Leak { found: leak::Finding { sureness, ..found }, since, lasts }
        };
        join(before, found).into_iter().map(leak).collect()
    }

    /// What a verdict means; `live` are the live blocks of its device.
    pub fn course<'a>(
        &self,
        verdict: growth::Verdict,
        live: impl Iterator<Item = &'a LiveBlock>,
    ) -> Course {
        let taken_in = |time: std::ops::Range<u64>| {
            most_of(live.filter(move |block| time.contains(&self.at(block.birth))))
        };
        let (since, most) = match verdict {
            growth::Verdict::Growing(growing) => {
                (Some(growing.since), taken_in(growing.since..u64::MAX))
            }
            growth::Verdict::Step { at, width, bytes } => {
                let most = taken_in(at.saturating_sub(width)..at.saturating_add(width));
                (Some(at), most.filter(|(_, most)| *most > bytes / 2))
            }
            _ => (None, None),
        };
        Course { verdict, since: since.map(|position| self.time_of(position)), most }
    }
}

/// The site that has most of these blocks, and their bytes.
fn most_of<'a>(blocks: impl Iterator<Item = &'a LiveBlock>) -> Option<(Site, u64)> {
    let mut by_site: HashMap<Site, u64> = HashMap::new();
    for block in blocks {
        let sum = by_site.entry(block.site).or_default();
        *sum = sum.saturating_add(block.bytes);
    }
    by_site.into_iter().max_by_key(|(site, sum)| (*sum, *site))
}

/// What held at the end, and what held at the last look before it and does no more.
fn join(before: &[leak::Finding], found: Vec<leak::Finding>) -> Vec<(leak::Finding, bool)> {
    let goes_on: HashSet<Site> = found.iter().map(|new| new.site).collect();
    let ended = before.iter().filter(|old| !goes_on.contains(&old.site));
    let mut all: Vec<_> = ended.map(|old| (*old, false)).collect();
    all.extend(found.into_iter().map(|new| (new, true)));
    all.sort_by_key(|(found, _)| std::cmp::Reverse(found.bytes));
    all
}
