//! Leak: blocks of one line of code that live on when their time has long come.

use std::{cmp::Reverse, collections::BTreeMap};

use super::{
    Subject, bare, evidence,
    exhaustion::{self, Demand},
    place::{Place, inside, named, several},
};
use crate::{
    detect::{
        leak::Sureness,
        thresholds::{SURVIVORS, THINNING},
    },
    present::{
        build::sites::SiteBook,
        report::{Confidence, Evidence, Finding, Gpu, Process, Rate},
        text::{bytes, clock, count, fine_bytes},
        total,
    },
    process::{Leak, Trend, Unit},
    symbol::site::SiteId,
};

/// The name of the verdict.
pub(super) const VERDICT: &str = "leak";
/// Cause of a suspicion that is none by what is known of the site's name.
pub(super) const KNOWN_CACHE: &str = "known cache";

/// ns in an hour.
const HOUR: u128 = 3_600_000_000_000;

/// One device of one process that leaks at a line.
struct Case<'a> {
    place: Place<'a>,
    unit: Unit,
    /// ns in a unit.
    unit_ns: u64,
    /// Units that were seen.
    units: u64,
    sureness: Sureness,
    blocks: u64,
    bytes: u64,
    /// Bytes in a unit: the middle, and its limits.
    rate: [f64; 3],
    since_ns: u64,
    /// Units from the first survivor to the last, and the age of a survivor.
    span: u64,
    maturity: u64,
    thinning: f64,
    slackens: bool,
}

impl<'a> Case<'a> {
    fn new(place: Place<'a>, trend: &Trend, leak: &Leak, since_ns: u64) -> Self {
        let found = &leak.found;
        let unit = trend.unit.windows().unit;
        Self {
            place,
            unit: trend.unit,
            unit_ns: trend.unit_ns,
            units: trend.units,
            sureness: found.sureness,
            blocks: found.blocks,
            bytes: found.bytes,
            rate: [found.rate, found.rate_between[0], found.rate_between[1]],
            since_ns,
            span: found.span / unit,
            maturity: found.maturity / unit,
            thinning: found.thinning,
            slackens: found.slackens,
        }
    }

    /// The same line by another stack.
    fn join(&mut self, other: Self) {
        self.sureness = self.sureness.max(other.sureness);
        self.blocks = self.blocks.saturating_add(other.blocks);
        self.bytes = self.bytes.saturating_add(other.bytes);
        for (mine, theirs) in self.rate.iter_mut().zip(other.rate) {
            *mine += theirs;
        }
        self.since_ns = self.since_ns.min(other.since_ns);
        self.span = self.span.max(other.span);
        self.maturity = self.maturity.max(other.maturity);
        self.thinning = self.thinning.min(other.thinning);
        self.slackens &= other.slackens;
    }

    fn hourly(&self) -> Rate {
        let [middle, low, high] = self.rate.map(|rate| hourly(rate, self.unit_ns));
        let per_step = (self.unit == Unit::Step).then_some(self.rate[0] as u64);
        Rate { bytes_per_hour: middle, low, high, bytes_per_step: per_step }
    }

    fn evidence(&self) -> Vec<Evidence> {
        let windows = self.unit.windows();
        let (unit, units) = (self.unit.name(), self.unit.plural());
        let limit = |positions: u64| Some(positions / windows.unit);
        vec![
            evidence(
                "blocks that outlived their time",
                self.blocks,
                Some(SURVIVORS as u64),
                "blocks",
            ),
            evidence("from the first of them to the last", self.span, limit(windows.alert), units),
            evidence(
                &format!("bytes a {unit}"),
                self.rate[0] as u64,
                Some(windows.site_floor),
                "bytes",
            ),
            evidence(
                "share that survives in the older half, of that in the newer",
                (self.thinning * 100.0) as u64,
                Some((THINNING * 100.0) as u64),
                "percent",
            ),
            evidence("seen", self.units, limit(windows.alert), units),
            evidence("age from which a block has outlived its time", self.maturity, None, units),
        ]
    }
}

/// Bytes in so many ns, by the hour.
pub(super) fn hourly(rate: f64, unit_ns: u64) -> u64 {
    (rate * HOUR as f64 / unit_ns.max(1) as f64) as u64
}

/// The leaks; `processes` are the report's for the subjects, in their order.
pub(super) fn findings(
    as_of: u64,
    gpus: &[Gpu],
    subjects: &mut [Subject<'_>],
    processes: &[Process],
    book: &mut SiteBook,
) -> Vec<Finding> {
    let mut by_site: BTreeMap<SiteId, Vec<Case<'_>>> = BTreeMap::new();
    for (subject, process) in subjects.iter_mut().zip(processes) {
        for device in &process.devices {
            let place = Place { process, device };
            let Some(trend) = subject.process.played.trends.get(&device.device) else { continue };
            // What a running process does not hold any more is no leak.
            let holding = trend.leaks.iter().filter(|leak| leak.lasts || !place.is_running());
            for leak in holding {
                let site = book.site(subject, leak.found.site);
                let since_ns = subject.identity().realtime(leak.since);
                let case = Case::new(place, trend, leak, since_ns);
                let cases = by_site.entry(site).or_default();
                match cases.iter_mut().find(|known| known.place.is(&case.place)) {
                    Some(known) => known.join(case),
                    None => cases.push(case),
                }
            }
        }
    }
    let by_site = by_site.into_iter();
    by_site.map(|(site, cases)| finding(as_of, gpus, site, cases, book)).collect()
}

fn finding(
    as_of: u64,
    gpus: &[Gpu],
    site: SiteId,
    mut cases: Vec<Case<'_>>,
    book: &SiteBook,
) -> Finding {
    cases.sort_by_key(|case| Reverse(case.bytes));
    let cache = book.cache(site);
    let sure = cases.iter().any(|case| case.sureness == Sureness::Alert) && cache.is_none();
    let confidence = if sure { Confidence::Alert } else { Confidence::Suspect };
    let demands = cases.iter().map(|case| Demand { place: case.place, rate: case.hourly() });
    // A cache ends to grow by itself.
    let goes_on = cache.is_none() && !cases.iter().all(|case| case.slackens);
    let exhausted = goes_on.then(|| exhaustion::when(as_of, gpus, demands.collect())).flatten();
    let mut text = text(confidence, &cases, &book.name(site));
    match cache {
        Some(what) => text.push_str(&format!(
            " By its name it is a {what}, which fills until it meets its bound."
        )),
        None => text.push_str(&unsure(confidence, &cases)),
    }
    text.push_str(&exhaustion::sentence(as_of, exhausted));
    Finding {
        instances: cases.iter().map(|case| case.place.instance(case.bytes)).collect(),
        bytes: total(cases.iter().map(|case| case.bytes)),
        site: site.to_string(),
        text,
        advice: advice(cache, &cases),
        since_ns: cases.iter().map(|case| case.since_ns).min().unwrap_or(0),
        cause: cache.map(|_| KNOWN_CACHE.to_owned()),
        rate: cases.first().map(Case::hourly),
        evidence: cases.first().map(Case::evidence).unwrap_or_default(),
        exhausted,
        ..bare(VERDICT, confidence)
    }
}

fn text(confidence: Confidence, cases: &[Case<'_>], line: &str) -> String {
    let places: Vec<Place<'_>> = cases.iter().map(|case| case.place).collect();
    let running = places.iter().any(Place::is_running);
    let leaks = match (confidence, running, cases.len()) {
        (Confidence::Alert, true, 1) => "leaks",
        (Confidence::Alert, true, _) => "leak",
        (Confidence::Alert, false, _) => "leaked",
        (_, true, _) => "may leak",
        (_, false, _) => "may have leaked",
    };
    let subject = match places.as_slice() {
        [one] => format!("{} {leaks} on device {}", one.who(), one.device.device),
        _ => format!("{} {leaks} at the same line", several(&places)),
    };
    let all = match cases {
        [_] => String::new(),
        _ => format!(" ({})", named(&places)),
    };
    let since = cases.iter().map(|case| case.since_ns).min().map(clock).unwrap_or_default();
    let (are, rate) = match cases {
        [one] => (if running { "are" } else { "were" }, format!(", {}", rate(one))),
        [most, ..] => (if running { "are" } else { "were" }, format!(", at most {}", rate(most))),
        [] => ("are", String::new()),
    };
    format!(
        "{subject}: blocks taken at {line} {are} not given back: {} in {} since {since}{rate}{all}.",
        bytes(total(cases.iter().map(|case| case.bytes))),
        count(total(cases.iter().map(|case| case.blocks)), "block"),
    )
}

fn rate(case: &Case<'_>) -> String {
    let [middle, low, high] = case.rate.map(|rate| fine_bytes(rate as u64));
    let unit = case.unit.name();
    match low == high {
        true => format!("{middle} a {unit}"),
        false => format!("{middle} a {unit} ({low} to {high})"),
    }
}

/// Why it is not sure.
fn unsure(confidence: Confidence, cases: &[Case<'_>]) -> String {
    let [first, ..] = cases else { return String::new() };
    if confidence == Confidence::Alert {
        return String::new();
    }
    if first.slackens {
        return " It takes less and less, as where something is made once for each of so many keys."
            .to_owned();
    }
    let windows = first.unit.windows();
    let (of, units) = (windows.alert / windows.unit, first.unit.plural());
    if first.units < of {
        return format!(
            " It was seen for {} {units} only; a leak is told from a cache that fills in {of}.",
            first.units,
        );
    }
    format!(
        " It has gone on for {} {units}; a leak is told from a cache that fills in {of}.",
        first.span,
    )
}

fn advice(cache: Option<&str>, cases: &[Case<'_>]) -> String {
    let places: Vec<Place<'_>> = cases.iter().map(|case| case.place).collect();
    advice_for(cache, &places)
}

/// What to do about blocks that a line took at `places` and something keeps.
pub(super) fn advice_for(cache: Option<&str>, places: &[Place<'_>]) -> String {
    let places = inside(places);
    match cache {
        Some(what) => format!("see that the {what} has a bound, and that it fits, {places}."),
        None => format!(
            "find what keeps the tensors that line makes {places}: a list or dictionary that only \
             grows, a cache without a bound, a request that is over and still referenced, an \
             exception's traceback, a loss that is added up without detach()."
        ),
    }
}
