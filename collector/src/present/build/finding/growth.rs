//! Growth: what a process holds rises for good, and no line of code explains it.

use super::{
    Subject, amount, bare, evidence,
    exhaustion::{self, Demand},
    is_told,
    leak::hourly,
    place::Place,
};
use crate::{
    detect::{
        growth::{Growing, Verdict},
        thresholds::OVER_NOISE,
    },
    present::{
        build::sites::SiteBook,
        report::{Confidence, Finding, Gpu, Process, Rate},
        text::{bytes, clock, fine_bytes},
    },
    process::{Trend, Unit},
    symbol::site::SiteId,
};

/// The name of the verdict.
const VERDICT: &str = "growth";

/// What grows, but for the places where `told` findings (leaks, creeps) explain it; `processes` are
/// the report's for the subjects, in their order.
pub(super) fn findings(
    as_of: u64,
    gpus: &[Gpu],
    subjects: &mut [Subject<'_>],
    processes: &[Process],
    book: &mut SiteBook,
    told: [&[Finding]; 2],
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (subject, process) in subjects.iter_mut().zip(processes) {
        for device in &process.devices {
            let place = Place { process, device };
            let process = subject.process;
            let Some(trend) = process.played.trends.get(&device.device) else { continue };
            if told.into_iter().any(|told| is_told(told, &place)) {
                continue;
            }
            // What is reserved grows where what is allocated does, and is told only where it alone
            // does.
            let figures = [("allocated", &trend.allocated), ("reserved", &trend.reserved)];
            let grown = figures.into_iter().find_map(|(what, course)| {
                let Verdict::Growing(growing) = course.verdict else { return None };
                let since_ns = subject.identity().realtime(course.since?);
                let most = course.most.map(|(site, bytes)| (book.site(subject, site), bytes));
                Some(Grown { what, growing, since_ns, most })
            });
            findings.extend(grown.map(|grown| finding(as_of, gpus, place, trend, &grown, book)));
        }
    }
    findings
}

/// A figure that grows.
struct Grown {
    what: &'static str,
    growing: Growing,
    since_ns: u64,
    /// The site that has most of what was taken since and is live.
    most: Option<(SiteId, u64)>,
}

fn finding(
    as_of: u64,
    gpus: &[Gpu],
    place: Place<'_>,
    trend: &Trend,
    grown: &Grown,
    book: &SiteBook,
) -> Finding {
    let Grown { what, growing, since_ns, most } = grown;
    let by_hour = |rate: f64| hourly(rate.max(0.0), trend.unit_ns);
    let (unit, units) = (trend.unit.name(), trend.unit.plural());
    let windows = trend.unit.windows();
    let rate = Rate {
        bytes_per_hour: by_hour(growing.rate),
        low: by_hour(growing.rate_between[0]),
        high: by_hour(growing.rate_between[1]),
        bytes_per_step: (trend.unit == Unit::Step).then_some(growing.rate as u64),
    };
    let exhausted = exhaustion::when(as_of, gpus, vec![Demand { place, rate }]);
    let grows = if place.is_running() { "grows" } else { "grew" };
    let who = place.who();
    let line = most.map(|(site, most)| {
        let taken = " Of what was taken since then and is live most is";
        format!("{taken} {} from {}.", bytes(most), book.name(site))
    });
    Finding {
        instances: vec![place.instance(growing.bytes)],
        bytes: growing.bytes,
        site: most.map(|(site, _)| site.to_string()).unwrap_or_default(),
        text: format!(
            "{what} memory of {who} {grows} on device {}: by {} since {}, {} a {unit}.{} Load that \
             rises does the same as a leak.{}",
            place.device.device,
            bytes(growing.bytes),
            clock(*since_ns),
            fine_bytes(growing.rate as u64),
            line.unwrap_or_default(),
            exhaustion::sentence(as_of, exhausted),
        ),
        advice: format!("compare what is live with what was before, site by site, in {who}."),
        since_ns: *since_ns,
        cause: Some((*what).to_owned()),
        rate: Some(rate),
        evidence: vec![
            amount("growth", growing.bytes),
            evidence(
                "growth over noise",
                growing.over_noise.min(1e9) as u64,
                Some(OVER_NOISE as u64),
                "times",
            ),
            evidence(
                &format!("bytes a {unit}"),
                growing.rate as u64,
                Some(windows.total_floor),
                "bytes",
            ),
            evidence("seen", trend.units, Some(windows.total_span / windows.unit), units),
        ],
        exhausted,
        ..bare(VERDICT, Confidence::Suspect)
    }
}
