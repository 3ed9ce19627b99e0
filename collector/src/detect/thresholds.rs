//! The limits of the rules, each with its reason. Tuned on the tuning seeds of `tests/corpus` only.
//!
//! A rule counts in *positions*: ns of `CLOCK_MONOTONIC`, or indices of steps where steps are known.
//! Work units beat wall time: what grows by a step looks erratic by the second.

const MIB: u64 = 1 << 20;
/// ns in a minute.
pub const MINUTE: u64 = 60_000_000_000;

/// The limits that depend on what positions are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// Positions in the unit that rates are told in: a minute, or a step.
    pub unit: u64,
    /// A start shorter than this is too short to see the program's rhythm.
    pub warm_up: u64,
    /// No block younger than this is held against its site.
    pub maturity: u64,
    /// Survivors over so long make a site suspect.
    pub suspect: u64,
    /// Survivors over so long make it a leak: caches that fill within the hour are full by then.
    pub alert: u64,
    /// How long a verdict must have held before it is told: a look may fall on a lucky moment.
    pub confirm: u64,
    /// A site that leaks less, bytes in a unit, fills no card within a week.
    pub site_floor: u64,
    /// A valley is the least in so long: longer than what a request or a burst of them takes.
    pub valley: u64,
    /// Totals that grow less, bytes in a unit, drown in the noise of any load.
    pub total_floor: u64,
    /// Totals must have been seen to grow for so long after the warm-up: load alone rises for an hour
    /// and more.
    pub total_span: u64,
}

/// Positions are ns.
pub const BY_TIME: Windows = Windows {
    unit: MINUTE,
    warm_up: 10 * MINUTE,
    maturity: 5 * MINUTE,
    suspect: 30 * MINUTE,
    alert: 60 * MINUTE,
    confirm: 10 * MINUTE,
    site_floor: MIB / 2,
    valley: 4 * MINUTE,
    total_floor: MIB,
    total_span: 110 * MINUTE,
};

/// Positions are steps.
pub const BY_STEPS: Windows = Windows {
    unit: 1,
    warm_up: 5,
    maturity: 2,
    suspect: 30,
    alert: 60,
    confirm: 5,
    site_floor: MIB / 16,
    valley: 1,
    total_floor: MIB / 4,
    total_span: 60,
};

/// The warm-up is at least one in so many of the run: caches, pools and graphs of a long-running
/// program come late, too.
pub const WARM_UP_SHARE: u64 = 5;

/// Which completed lifetime is the site's longest ordinary one. The very longest may be an accident.
pub const LIFETIME_QUANTILE: f64 = 0.999;
/// With fewer completed lifetimes than this the longest one counts.
pub const LIFETIMES: u64 = 20;
/// A block is mature at so many times that lifetime: half a distribution may not have ended yet.
pub const LIFETIME_FACTOR: u64 = 2;
/// Survivors that make a leak at least: fewer are pools and workspaces taken late.
pub const SURVIVORS: usize = 6;
/// A pause longer than one in so many of the stretch ends it: what came before was another matter.
pub const PAUSE_SHARE: u64 = 4;
/// In so many bins a stretch is looked at.
pub const BINS: usize = 10;
/// Share of bins with survivors: a leak goes on, a pool comes in bursts.
pub const FILLED: f64 = 0.8;
/// The same where survivors are few, so that chance alone leaves bins empty.
pub const FILLED_FEW: f64 = 0.6;
/// Fewer survivors than this are few.
pub const FEW: usize = 20;
/// Share of the survivors in one bin: more is a step, not a leak.
pub const LARGEST_BIN: f64 = 0.4;
/// The newest bins, all of which must have survivors: a cache that is full has none there.
pub const NEWEST_BINS: usize = 3;
/// Share of blocks that survive in the older half, over that in the newer: a long tail of lifetimes
/// and eviction at random thin out with age, a leak does not.
pub const THINNING: f64 = 0.6;
/// Survivors of the newer half over those of the older, below which a site that keeps nearly all it
/// takes comes to an end: something is made for each of so many keys, and most have been met.
pub const SLACKENING: f64 = 0.7;

/// Valleys that show a trend at least.
pub const VALLEYS: usize = 10;
/// The start lasts until so many valleys ...
pub const PLATEAU: usize = 3;
/// ... lie within one in so many of each other.
pub const PLATEAU_SHARE: u64 = 100;
/// So many beginnings are tried, an eighth of the time apart: a leak may begin in mid-run.
pub const BEGINNINGS: usize = 5;
/// A start rises so many times faster than the run after it.
pub const START_RISE: f64 = 2.0;
/// The median increment over the slope: below it few windows bring all the growth, as when a caching
/// allocator takes ever larger segments.
pub const SPREAD_OUT: f64 = 0.6;
/// Kendall's tau of valleys that grow: nearly every later one is higher.
pub const TAU: f64 = 0.6;
/// Its z: by chance in one of a hundred.
pub const TAU_Z: f64 = 2.33;
/// Slope of the second half over that of the whole: below it the growth is coming to its end.
pub const LASTING: f64 = 0.65;
/// Share of the growth that each third of the time brings: a ramp or a late pool is in one of them.
pub const THIRD: f64 = 0.22;
/// The growth over the spread of what the trend leaves unexplained.
pub const OVER_NOISE: f64 = 4.0;
/// Share of the growth in one increment: more is a step change.
pub const LARGEST_INCREMENT: f64 = 0.5;
/// Autocorrelation at a lag that makes valleys periodic.
pub const PERIODIC: f64 = 0.5;

/// A block retained is alive across so many ends of steps: one or two is what overlaps.
pub const BOUNDARIES: usize = 3;
/// Steps left out at the start: they allocate what stays.
pub const WARM_UP_STEPS: usize = 3;
/// Steps measured at least.
pub const MEASURED_STEPS: usize = 10;
/// Share of the measured steps of which a site retains something: eight in ten.
pub const RETAINED_SHARE: f64 = 0.8;
