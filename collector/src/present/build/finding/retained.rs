//! Retained at boundaries: what nearly every step leaves behind, in runs too short for a leak to show.

use std::cmp::Reverse;

use super::{Subject, bare, evidence, is_told, place::Place};
use crate::{
    detect::thresholds::{BOUNDARIES, BY_STEPS, MEASURED_STEPS, RETAINED_SHARE},
    present::{
        build::sites::SiteBook,
        report::{Confidence, Finding, Process},
        text::{bytes, count},
    },
    process::Unit,
};

/// The name of the verdict.
const VERDICT: &str = "retained";

/// What is retained, but for the places of which `leaks` speak; `processes` are the report's for the
/// subjects, in their order.
pub(super) fn findings(
    subjects: &mut [Subject<'_>],
    processes: &[Process],
    book: &mut SiteBook,
    leaks: &[Finding],
) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    for (subject, process) in subjects.iter_mut().zip(processes) {
        for device in &process.devices {
            let place = Place { process, device };
            let Some(trend) = subject.process.played.trends.get(&device.device) else { continue };
            // In a longer run a leak shows as such, and what does not is a cache.
            let short = trend.unit == Unit::Step && trend.units < BY_STEPS.alert;
            let Some(retained) = trend.retained.as_ref().filter(|_| short) else { continue };
            if is_told(leaks, &place) {
                continue;
            }
            for found in retained {
                let site = book.site(subject, found.site);
                let each = found.bytes / found.measured.max(1);
                if each < BY_STEPS.site_floor || book.cache(site).is_some() {
                    continue;
                }
                let (who, line) = (place.who(), book.name(site));
                findings.push(Finding {
                    instances: vec![place.instance(found.bytes)],
                    bytes: found.bytes,
                    site: site.to_string(),
                    text: format!(
                        "in {who}, {} of {} left something behind on device {} that outlived the \
                         {BOUNDARIES} steps after it: {} in {}, taken at {line}. A cache or a queue \
                         that fills looks the same; in a run of {} steps a leak is told from it.",
                        found.steps,
                        count(found.measured, "step"),
                        device.device,
                        bytes(found.bytes),
                        count(found.blocks, "block"),
                        BY_STEPS.alert + BY_STEPS.alert / 2,
                    ),
                    evidence: vec![
                        evidence(
                            "share of steps that leave something",
                            found.steps * 100 / found.measured.max(1),
                            Some((RETAINED_SHARE * 100.0) as u64),
                            "percent",
                        ),
                        evidence(
                            "steps measured",
                            found.measured,
                            Some(MEASURED_STEPS as u64),
                            "steps",
                        ),
                        evidence("bytes a step", each, Some(BY_STEPS.site_floor), "bytes"),
                    ],
                    ..bare(VERDICT, Confidence::Info)
                });
            }
        }
    }
    findings.sort_by_key(|finding| Reverse(finding.bytes));
    findings
}
