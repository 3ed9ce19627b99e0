//! Leak by site: blocks of one call stack that live on when their time has long come.
//!
//! ```text
//!  begin   warm-up end                                        now − maturity   now
//!    ├──────────┤────────────────────────────────────────────────────┤──────────┤
//!    ▮▮▮▮ model   ▪ straggler        ▪ ▪▪ ▪ ▪  ▪ ▪▪ ▪ ▪ ▪ ▪▪ ▪ ▪ ▪ ▪   ▪▪▪▪▪▪▪▪ young
//!                                    └──── the stretch of survivors ───┘
//! ```
//!
//! A *survivor* is a live block born after the warm-up and at least `maturity` old, which is some
//! times what the site's blocks ordinarily live. The newest survivors up to a long pause are the
//! *stretch*. It is a leak when it is long enough, goes on until now, fills its time evenly, takes
//! enough bytes, and its older half is not thinner than its newer one. If the newer one is thinner,
//! and nothing was given back, it comes to its end: suspect at most. All numbers and their reasons:
//! [`super::thresholds`].
//!
//! It needs each site's births and lifetimes as they are told, and at a look the live blocks; what
//! it keeps of a site is bounded.

use std::collections::HashMap;

use super::births::Births;
use super::lifetimes::Lifetimes;
use super::stretch::{Stretch, Survivor};
use super::thresholds::{
    LIFETIME_FACTOR, LIFETIME_QUANTILE, LIFETIMES, SURVIVORS, THINNING, WARM_UP_SHARE, Windows,
};
use crate::state::Site;

/// A live block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Who took it.
    pub site: Site,
    /// When, as a position.
    pub born: u64,
    /// How large it is.
    pub bytes: u64,
}

/// How sure a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sureness {
    /// It may be a cache that fills.
    Suspect,
    /// It leaks.
    Alert,
}

/// A site leaks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Finding {
    /// The site.
    pub site: Site,
    /// How sure that is.
    pub sureness: Sureness,
    /// Survivors in the stretch.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes in a unit (a minute, or a step).
    pub rate: f64,
    /// The rate give or take two standard errors, from how much its bins differ.
    pub rate_between: [f64; 2],
    /// Birth of the first survivor in the stretch, as a position.
    pub since: u64,
    /// From that birth to the last one's, in positions.
    pub span: u64,
    /// Age from which on a block counts as a survivor, in positions.
    pub maturity: u64,
    /// Share that survives in the older half of the stretch, over that in the newer.
    pub thinning: f64,
    /// It keeps nearly all it takes, and takes less and less, which is why this is no alert.
    pub slackens: bool,
    /// The site is one of a known cache ([`super::known`]), which is why this is no alert.
    pub known_cache: bool,
}

impl Finding {
    /// The same, told of the site of a known cache: suspect at most.
    #[must_use]
    pub const fn of_known_cache(self) -> Self {
        Self { sureness: Sureness::Suspect, known_cache: true, ..self }
    }
}

/// What is kept of a site.
#[derive(Clone, Debug)]
struct Course {
    site: Site,
    lifetimes: Lifetimes,
    births: Births,
    /// Since which look without a break it is at least suspect, and a leak.
    holds_since: [Option<u64>; 2],
}

/// The detector for one device of one process.
#[derive(Clone, Debug)]
pub struct Leaks {
    windows: Windows,
    begin: u64,
    places: HashMap<Site, usize>,
    courses: Vec<Course>,
}

impl Leaks {
    /// A detector of a timeline that is known from `begin` on.
    #[must_use]
    pub fn new(windows: Windows, begin: u64) -> Self {
        Self { windows, begin, places: HashMap::new(), courses: Vec::new() }
    }

    fn place(&mut self, site: Site) -> usize {
        let next = self.courses.len();
        let place = *self.places.entry(site).or_insert(next);
        if place == next {
            self.courses.push(Course {
                site,
                lifetimes: Lifetimes::default(),
                births: Births::new(self.windows.unit),
                holds_since: [None; 2],
            });
        }
        place
    }

    /// A block of `site` was taken at `at`.
    pub fn born(&mut self, site: Site, at: u64) {
        let place = self.place(site);
        self.courses[place].births.add(at);
    }

    /// A block of `site` that was taken at `born` was given back at `at`.
    pub fn died(&mut self, site: Site, born: u64, at: u64) {
        let place = self.place(site);
        self.courses[place].lifetimes.add(at.saturating_sub(born));
    }

    /// What leaks at `now`, by bytes. `live` are all live blocks, in any order.
    pub fn look(&mut self, now: u64, live: impl IntoIterator<Item = Held>) -> Vec<Finding> {
        let run = now.saturating_sub(self.begin);
        let warm = self.begin.saturating_add(self.windows.warm_up.max(run / WARM_UP_SHARE));
        let old = now.saturating_sub(self.windows.maturity);
        let mut survivors: Vec<(Site, Survivor)> = Vec::new();
        for Held { site, born, bytes } in live {
            if born >= warm && born <= old {
                survivors.push((site, Survivor { born, bytes }));
            }
        }
        survivors.sort_unstable();
        let mut judged = vec![None; self.courses.len()];
        for of_site in survivors.chunk_by(|one, other| one.0 == other.0) {
            let place = self.place(of_site[0].0);
            judged.resize(self.courses.len(), None);
            let of_site = of_site.iter().map(|(_, survivor)| *survivor).collect();
            judged[place] = self.courses[place].judge(&self.windows, now, of_site);
        }
        let mut findings = Vec::new();
        for (course, judged) in self.courses.iter_mut().zip(judged) {
            findings.extend(course.confirm(judged, now, self.windows.confirm));
        }
        findings.sort_by_key(|finding: &Finding| std::cmp::Reverse(finding.bytes));
        findings
    }
}

impl Course {
    /// Tells of what was judged what has held for long enough.
    fn confirm(&mut self, judged: Option<Finding>, now: u64, long: u64) -> Option<Finding> {
        let levels = [Sureness::Suspect, Sureness::Alert];
        let mut sureness = None;
        for (level, since) in levels.into_iter().zip(&mut self.holds_since) {
            if judged.is_some_and(|finding| finding.sureness >= level) {
                let since = *since.get_or_insert(now);
                sureness = (now.saturating_sub(since) >= long).then_some(level).or(sureness);
            } else {
                *since = None;
            }
        }
        judged.zip(sureness).map(|(finding, sureness)| Finding { sureness, ..finding })
    }

    /// The rule; `survivors` are by birth.
    fn judge(&self, windows: &Windows, now: u64, survivors: Vec<Survivor>) -> Option<Finding> {
        let ordinary = match self.lifetimes.number() {
            LIFETIMES.. => self.lifetimes.quantile(LIFETIME_QUANTILE),
            _ => self.lifetimes.longest(),
        };
        let maturity = windows.maturity.max(ordinary.saturating_mul(LIFETIME_FACTOR));
        let stretch = Stretch::newest(survivors, now.checked_sub(maturity)?)?;
        let span = stretch.span();
        if stretch.blocks() < SURVIVORS || span < windows.suspect || !stretch.lasts() {
            return None;
        }
        let thinning = stretch.thinning(&self.births)?;
        let (rate, rate_between) = stretch.rate(windows.unit);
        if thinning < THINNING || rate < windows.site_floor as f64 {
            return None;
        }
        let slackens = stretch.slackens(&self.births);
        let is_sure = span >= windows.alert && !slackens;
        Some(Finding {
            site: self.site,
            sureness: if is_sure { Sureness::Alert } else { Sureness::Suspect },
            blocks: stretch.blocks() as u64,
            bytes: stretch.bytes(),
            rate,
            rate_between,
            since: stretch.first(),
            span,
            maturity,
            thinning,
            slackens,
            known_cache: false,
        })
    }
}
