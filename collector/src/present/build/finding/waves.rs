//! Leak by waves: what nearly every wave of requests leaves behind, where somebody drove the processes.
//!
//! A wave begins when the last one's answers are in and nothing was taken or given back for a while. So
//! whatever of it is live three waves later was kept, and steps that overlap are no excuse.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
};

use super::{
    Subject, bare, evidence,
    leak::{KNOWN_CACHE, VERDICT, advice_for},
    place::{Place, named, several},
};
use crate::{
    detect::{
        leak::Held,
        retained::{self, retained},
        thresholds::{BY_STEPS, MEASURED_STEPS, RETAINED_SHARE},
    },
    present::{
        build::sites::SiteBook,
        report::{Confidence, Finding, Process},
        text::{bytes, count},
        total,
    },
    state::{Device, Site},
    symbol::site::SiteId,
};

/// Why it is told: a block outlived waves of requests.
const CAUSE: &str = "kept by waves of requests";

/// A line in one place.
struct Case<'a> {
    place: Place<'a>,
    found: retained::Finding,
}

/// What is kept of the waves that went out at `waves`; `processes` are the report's for the subjects, in
/// their order.
pub(super) fn findings(
    waves: &[u64],
    subjects: &mut [Subject<'_>],
    processes: &[Process],
    book: &mut SiteBook,
) -> Vec<Finding> {
    let mut cases: BTreeMap<SiteId, Vec<Case<'_>>> = BTreeMap::new();
    for (subject, process) in subjects.iter_mut().zip(processes) {
        for device in &process.devices {
            let live = live(subject, device.device, book);
            for found in retained(waves, live).unwrap_or_default() {
                let case = Case { place: Place { process, device }, found };
                cases.entry(book.site(subject, found.site)).or_default().push(case);
            }
        }
    }
    let mut findings: Vec<Finding> =
        cases.into_iter().map(|(site, cases)| finding(site, cases, book)).collect();
    findings.sort_by_key(|finding| Reverse(finding.bytes));
    findings
}

/// What is live on a device. A line that is reached in several ways is one site: of each way alone too
/// few waves may leave something.
fn live(subject: &mut Subject<'_>, device: Device, book: &mut SiteBook) -> Vec<Held> {
    let (mut of_line, mut of_site) = (HashMap::<String, Site>::new(), HashMap::<Site, Site>::new());
    let blocks = subject.process.played.state.live_blocks().filter(|block| block.device == device);
    let mut live = Vec::new();
    for block in blocks {
        let site = *of_site.entry(block.site).or_insert_with(|| {
            let id = book.site(subject, block.site);
            book.line(id).map_or(block.site, |line| *of_line.entry(line).or_insert(block.site))
        });
        live.push(Held { site, born: block.birth, bytes: block.bytes });
    }
    live
}

fn finding(site: SiteId, mut cases: Vec<Case<'_>>, book: &SiteBook) -> Finding {
    cases.sort_by_key(|case| Reverse(case.found.bytes));
    let places: Vec<Place<'_>> = cases.iter().map(|case| case.place).collect();
    let sum = |of: fn(&Case<'_>) -> u64| total(cases.iter().map(of));
    let (held, blocks) = (sum(|case| case.found.bytes), sum(|case| case.found.blocks));
    let found = cases.first().map(|case| case.found);
    let (steps, measured) = found.map_or((0, 1), |found| (found.steps, found.measured.max(1)));
    let each = found.map_or(0, |found| found.bytes) / measured;
    let cache = book.cache(site);
    let sure = cache.is_none() && each >= BY_STEPS.site_floor;
    let keep = match places.as_slice() {
        [one] => format!("{} keeps", one.who()),
        all => format!("{} ({}) keep", several(all), named(all)),
    };
    let doubt = match cache {
        Some(what) => {
            format!(" The line belongs to a {what}, which fills like that until it is full.")
        }
        None if !sure => format!(" That is less than {} a wave.", bytes(BY_STEPS.site_floor)),
        None => String::new(),
    };
    Finding {
        instances: cases.iter().map(|case| case.place.instance(case.found.bytes)).collect(),
        bytes: held,
        site: site.to_string(),
        text: format!(
            "{keep} what is taken at {} for a request: {} of {} left something behind, {} in {}.{doubt}",
            book.name(site),
            steps,
            count(measured, "wave"),
            bytes(held),
            count(blocks, "block"),
        ),
        advice: advice_for(cache, &places),
        cause: Some(if cache.is_some() { KNOWN_CACHE } else { CAUSE }.to_owned()),
        evidence: vec![
            evidence(
                "share of waves that leave something",
                steps * 100 / measured,
                Some((RETAINED_SHARE * 100.0) as u64),
                "percent",
            ),
            evidence("waves measured", measured, Some(MEASURED_STEPS as u64), "waves"),
            evidence("bytes a wave", each, Some(BY_STEPS.site_floor), "bytes"),
        ],
        ..bare(VERDICT, if sure { Confidence::Alert } else { Confidence::Suspect })
    }
}
