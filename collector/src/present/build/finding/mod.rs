//! What the detectors found, as sentences a person can act on.

mod creep;
mod dead_holder;
mod exhaustion;
mod fragmentation;
mod growth;
mod incomplete_release;
mod ipc_pin;
mod leak;
mod out_of_memory;
mod phase;
mod place;
mod retained;
mod untracked;
mod waves;
mod wrong_card;

use std::cmp::Reverse;

use super::{Subject, shared::Commons, sites::SiteBook};
use crate::{
    detect::fragmentation::Holder,
    present::{
        report::{Confidence, Evidence, Finding, Gpu, Pin, Process},
        text::{bytes, count},
    },
    process::Job,
};
use place::Place;

/// The findings, worst first: what ended a process, then by bytes. `processes` are the report's for
/// the subjects, in their order.
pub(super) fn findings(
    job: &Job,
    gpus: &[Gpu],
    subjects: &mut [Subject<'_>],
    processes: &[Process],
    book: &mut SiteBook,
    commons: &Commons<'_>,
) -> Vec<Finding> {
    let mut findings = out_of_memory::findings(job, subjects, processes, book);
    let leaks = leak::findings(job.as_of, gpus, subjects, processes, book);
    findings.extend(retained::findings(subjects, processes, book, &leaks));
    let creeps = creep::findings(subjects, processes, book);
    findings.extend(growth::findings(
        job.as_of,
        gpus,
        subjects,
        processes,
        book,
        [&leaks, &creeps],
    ));
    findings.extend(leaks);
    findings.extend(waves::findings(&job.waves, subjects, processes, book));
    findings.extend(fragmentation::findings(subjects, processes, book, &creeps));
    findings.extend(creeps);
    findings.extend(incomplete_release::findings(job, subjects, processes, book, commons));
    findings.extend(ipc_pin::findings(job, subjects, processes, book, commons));
    findings.extend(wrong_card::findings(processes));
    findings.extend(dead_holder::findings(job, subjects, processes));
    findings.extend(untracked::findings(job, subjects, processes));
    findings.iter_mut().for_each(|finding| phase::tell(finding, processes));
    findings.sort_by_key(|finding| {
        let after = finding.verdict != out_of_memory::VERDICT;
        (finding.confidence, after, Reverse(finding.bytes))
    });
    findings
}

/// A finding of which nothing more is said than that it is there.
fn bare(verdict: &str, confidence: Confidence) -> Finding {
    Finding {
        verdict: verdict.to_owned(),
        confidence,
        instances: Vec::new(),
        bytes: 0,
        site: String::new(),
        text: String::new(),
        advice: String::new(),
        releasable_bytes: 0,
        since_ns: 0,
        cause: None,
        rate: None,
        evidence: Vec::new(),
        pins: Vec::new(),
        exhausted: None,
        phase: None,
        holders: Vec::new(),
    }
}

fn evidence(what: &str, value: u64, limit: Option<u64>, unit: &str) -> Evidence {
    Evidence { what: what.to_owned(), value, limit, unit: unit.to_owned() }
}

/// Whether one of `findings` is told of a place.
fn is_told(findings: &[Finding], place: &Place<'_>) -> bool {
    findings.iter().flat_map(|finding| &finding.instances).any(|instance| place.is_of(instance))
}

/// An amount of bytes that explains.
fn amount(what: &str, value: u64) -> Evidence {
    evidence(what, value, None, "bytes")
}

fn pins(holders: &[Holder], subject: &mut Subject<'_>, book: &mut SiteBook) -> Vec<Pin> {
    let pin = |holder: &Holder| Pin {
        site: book.id(subject, holder.site),
        blocks: holder.blocks,
        bytes: holder.bytes,
        stranded_bytes: holder.stranded,
    };
    holders.iter().map(pin).collect()
}

/// The first of the pins in a sentence; nothing where there is none.
fn pinned(holders: &[Holder], subject: &mut Subject<'_>, book: &mut SiteBook) -> String {
    let Some(first) = holders.first() else { return String::new() };
    let site = book.site(subject, first.site);
    format!(
        " {} of {} from {} {} {} of it.",
        count(first.blocks, "block"),
        bytes(first.bytes),
        book.name(site),
        if first.blocks == 1 { "keeps" } else { "keep" },
        bytes(first.stranded),
    )
}
