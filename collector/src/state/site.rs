//! Live bytes by allocation site, now and at the peak.

use std::collections::{BTreeMap, HashMap};

/// Who asked: the two stacks of an allocation, as ids of the process's trie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Site {
    /// Native stack.
    pub native: u32,
    /// Python stack.
    pub python: u32,
}

/// What a site has live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Use {
    /// Bytes.
    pub bytes: u64,
    /// In how many blocks.
    pub blocks: u64,
}

/// Blocks of a site that came and went in a stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Turnover {
    /// Blocks taken.
    pub births: u64,
    /// Blocks given back.
    pub deaths: u64,
}

/// Greatest value of something, and when it was reached first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Peak {
    /// Bytes.
    pub bytes: u64,
    /// `CLOCK_MONOTONIC`, ns.
    pub time: u64,
}

impl Peak {
    /// Takes a later value into account; true if it is a new greatest one.
    pub fn rise(&mut self, bytes: u64, time: u64) -> bool {
        let risen = bytes > self.bytes;
        if risen {
            *self = Self { bytes, time };
        }
        risen
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Delta {
    bytes: i64,
    blocks: i64,
}

/// Live bytes by site. What was live at the peak costs nothing to keep: only what changed *since*
/// the peak is remembered, and taken away from what is live now when somebody asks. A new peak
/// forgets it.
#[derive(Clone, Debug, Default)]
pub(super) struct Sites {
    live: HashMap<Site, Use>,
    since_peak: HashMap<Site, Delta>,
    turnover: HashMap<Site, Turnover>,
    total: u64,
    peak: Peak,
}

impl Sites {
    pub fn born(&mut self, site: Site, bytes: u64) {
        let used = self.live.entry(site).or_default();
        used.bytes += bytes;
        used.blocks += 1;
        self.total += bytes;
        self.change(site, bytes.cast_signed(), 1);
        self.turnover.entry(site).or_default().births += 1;
    }

    pub fn died(&mut self, site: Site, bytes: u64) {
        if let Some(used) = self.live.get_mut(&site) {
            used.bytes = used.bytes.saturating_sub(bytes);
            used.blocks = used.blocks.saturating_sub(1);
            if used.blocks == 0 {
                self.live.remove(&site);
            }
        }
        self.total = self.total.saturating_sub(bytes);
        self.change(site, -bytes.cast_signed(), -1);
        self.turnover.entry(site).or_default().deaths += 1;
    }

    fn change(&mut self, site: Site, bytes: i64, blocks: i64) {
        let delta = self.since_peak.entry(site).or_default();
        // Wrapping: a damaged ring must not stop the reader, and undoing wraps back.
        delta.bytes = delta.bytes.wrapping_add(bytes);
        delta.blocks = delta.blocks.wrapping_add(blocks);
    }

    /// Takes note of the total at the end of an event.
    pub fn settle(&mut self, time: u64) {
        if self.peak.rise(self.total, time) {
            self.since_peak.clear();
        }
    }

    /// Forgets the past: what is live now is the most that is known of.
    pub fn forget(&mut self) {
        let (live, total) = (std::mem::take(&mut self.live), self.total);
        *self = Self { live, total, peak: Peak { bytes: total, time: 0 }, ..Self::default() };
    }

    /// Carries over the past of `before`; what differs now changed at `time`.
    pub fn inherit(&mut self, before: &Self, time: u64) {
        self.turnover.clone_from(&before.turnover);
        self.peak = before.peak;
        self.since_peak.clear();
        for (site, then) in before.at_peak() {
            self.change(site, -then.bytes.cast_signed(), -then.blocks.cast_signed());
        }
        for (site, now) in self.live() {
            self.change(site, now.bytes.cast_signed(), now.blocks.cast_signed());
        }
        self.settle(time);
    }

    pub fn total(&self) -> u64 {
        self.total
    }

    pub fn peak(&self) -> Peak {
        self.peak
    }

    pub fn live(&self) -> BTreeMap<Site, Use> {
        self.live.iter().map(|(site, used)| (*site, *used)).collect()
    }

    pub fn live_of(&self, site: Site) -> Use {
        self.live.get(&site).copied().unwrap_or_default()
    }

    pub fn at_peak(&self) -> BTreeMap<Site, Use> {
        let mut then = self.live();
        for (site, delta) in &self.since_peak {
            let used = then.entry(*site).or_default();
            used.bytes = used.bytes.saturating_add_signed(-delta.bytes);
            used.blocks = used.blocks.saturating_add_signed(-delta.blocks);
            if used.blocks == 0 {
                then.remove(site);
            }
        }
        then
    }

    /// What came and went since this was asked last.
    pub fn take_turnover(&mut self) -> HashMap<Site, Turnover> {
        std::mem::take(&mut self.turnover)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Site = Site { native: 1, python: 2 };
    const B: Site = Site { native: 3, python: 4 };

    #[test]
    fn what_was_live_at_the_peak_is_still_known_after_it() {
        let mut sites = Sites::default();
        for (time, site, bytes, birth) in [
            (1, A, 100, true),
            (2, B, 50, true),
            (3, A, 100, false),
            (4, B, 20, true),
            (5, B, 50, false),
        ] {
            if birth {
                sites.born(site, bytes)
            } else {
                sites.died(site, bytes)
            }
            sites.settle(time);
        }
        assert_eq!(sites.peak(), Peak { bytes: 150, time: 2 });
        let then =
            BTreeMap::from([(A, Use { bytes: 100, blocks: 1 }), (B, Use { bytes: 50, blocks: 1 })]);
        assert_eq!(sites.at_peak(), then);
        assert_eq!(sites.live(), BTreeMap::from([(B, Use { bytes: 20, blocks: 1 })]));
    }

    #[test]
    fn a_new_peak_replaces_the_old_one() {
        let mut sites = Sites::default();
        sites.born(A, 10);
        sites.settle(1);
        sites.died(A, 10);
        sites.settle(2);
        sites.born(B, 11);
        sites.settle(3);
        assert_eq!(sites.peak(), Peak { bytes: 11, time: 3 });
        assert_eq!(sites.at_peak(), BTreeMap::from([(B, Use { bytes: 11, blocks: 1 })]));
    }

    #[test]
    fn turnover_counts_from_one_question_to_the_next() {
        let mut sites = Sites::default();
        sites.born(A, 1);
        sites.born(A, 1);
        sites.died(A, 1);
        assert_eq!(sites.take_turnover(), HashMap::from([(A, Turnover { births: 2, deaths: 1 })]));
        assert_eq!(sites.take_turnover(), HashMap::new());
    }
}
