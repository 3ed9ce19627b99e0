//! IPC pin: memory that cannot go because other processes have it open.

use std::{cmp::Reverse, collections::BTreeMap};

use super::{
    Subject, amount, bare, evidence,
    place::{Place, who},
};
use crate::{
    detect::ipc_pin::{Cause, Finding as Found, Piece, Verdict, check},
    ledger::Instance,
    present::{
        build::{
            shared::{self, Commons},
            sites::SiteBook,
        },
        report::{Confidence, Evidence, Finding, Holder, Process, Rate},
        text::{bytes, clock, count},
    },
    process::Job,
    sharing::{Export, Import},
    symbol::site::Stacks,
};

/// The name of the verdict.
const VERDICT: &str = "ipc-pin";

/// A process that has pieces of it open.
struct Importer {
    /// What to call it.
    name: String,
    /// The line that opened most of them.
    line: String,
    holder: Holder,
    opens: u64,
    closes: u64,
}

impl Cause {
    const fn name(self) -> &'static str {
        match self {
            Self::GivenBack => "given back",
            Self::Growing => "growing",
        }
    }
}

/// The findings; `processes` are the report's for the subjects, in their order.
pub(super) fn findings(
    job: &Job,
    subjects: &mut [Subject<'_>],
    processes: &[Process],
    book: &mut SiteBook,
    commons: &Commons<'_>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (subject, process) in subjects.iter_mut().zip(processes) {
        for device in &process.devices {
            let place = Place { process, device };
            let mut by_site: BTreeMap<String, Vec<&Export>> = BTreeMap::new();
            for export in commons.out(subject, device.device).collect::<Vec<_>>() {
                let site = shared::site(subject, book, &export.share);
                by_site.entry(site).or_default().push(export);
            }
            let now = subject.identity().monotonic(job.as_of);
            for (site, exports) in by_site {
                let pieces = pinned(&exports, commons);
                let steps = &subject.process.played.steps;
                if let Verdict::Pinned(found) = check(&pieces, steps, now) {
                    let importers = importers(&exports, &found, commons, book);
                    let since_ns = subject.identity().realtime(found.since);
                    findings.push(finding(&place, site, &found, importers, since_ns, book));
                }
            }
        }
    }
    findings
}

/// What of it others have open, each piece once under however many names it went out.
fn pinned(exports: &[&Export], commons: &Commons<'_>) -> Vec<Piece> {
    let mut pieces: BTreeMap<(u64, u64), Piece> = BTreeMap::new();
    for export in exports {
        let kept = commons.shared.openers(export).filter(|import| import.kept);
        if let Some(until) = kept.map(|import| import.until).max() {
            let share = &export.share;
            let (bytes, since, given_back) = (share.size, share.since, share.ended);
            let new = Piece { bytes, since, given_back, until };
            let piece = pieces.entry((share.address, share.birth)).or_insert(new);
            (piece.since, piece.until) = (piece.since.min(since), piece.until.max(until));
        }
    }
    pieces.into_values().collect()
}

/// Who has it open, most bytes first.
fn importers(
    exports: &[&Export],
    found: &Found,
    commons: &Commons<'_>,
    book: &mut SiteBook,
) -> Vec<Importer> {
    let mut imports: BTreeMap<Instance, Vec<&Import>> = BTreeMap::new();
    let mine = exports.iter().filter(|export| match found.cause {
        Cause::GivenBack => !export.share.is_held(),
        Cause::Growing => export.share.since >= found.since,
    });
    for import in mine.flat_map(|export| commons.shared.openers(export)) {
        imports.entry(import.holder).or_default().push(import);
    }
    let of = |(instance, all): (Instance, Vec<&Import>)| importer(instance, &all, commons, book);
    let mut importers: Vec<Importer> = imports.into_iter().filter_map(of).collect();
    importers.sort_by_key(|importer| Reverse(importer.holder.bytes));
    importers
}

fn importer(
    instance: Instance,
    imports: &[&Import],
    commons: &Commons<'_>,
    book: &mut SiteBook,
) -> Option<Importer> {
    let process = commons.process(instance)?;
    let mut subject =
        Subject { process, stacks: Stacks::new(&process.tables, None), owned: BTreeMap::new() };
    let kept: Vec<&&Import> = imports.iter().filter(|import| import.kept).collect();
    let mut sites: BTreeMap<_, u64> = BTreeMap::new();
    for import in &kept {
        *sites.entry(import.share.site).or_default() += import.share.size;
    }
    let (most, _) = sites.into_iter().max_by_key(|(_, bytes)| *bytes)?;
    let site = book.site(&mut subject, most);
    let name = crate::present::text::name(process.role.as_deref(), &process.command);
    let name = format!("{name} (pid {})", process.pid);
    Some(Importer {
        line: book.name(site),
        holder: Holder {
            site: site.to_string(),
            owner: name.clone(),
            bytes: kept.iter().fold(0, |sum, import| sum.saturating_add(import.share.size)),
            blocks: kept.len() as u64,
        },
        name,
        opens: imports.iter().map(|import| import.share.times).sum(),
        closes: imports.iter().map(|import| import.share.closes).sum(),
    })
}

fn finding(
    place: &Place<'_>,
    site: String,
    found: &Found,
    importers: Vec<Importer>,
    since_ns: u64,
    book: &SiteBook,
) -> Finding {
    let line = book.name_of(&site);
    let confidence = if found.sure { Confidence::Alert } else { Confidence::Suspect };
    let rate = found.rate.map(|(bytes_per_step, bytes_per_hour)| Rate {
        bytes_per_hour,
        low: bytes_per_hour,
        high: bytes_per_hour,
        bytes_per_step,
    });
    Finding {
        instances: vec![place.instance(found.bytes)],
        bytes: found.bytes,
        site,
        text: text(place, found, &importers, &line, since_ns),
        advice: advice(place, found, &importers),
        since_ns,
        cause: Some(found.cause.name().to_owned()),
        rate,
        evidence: numbers(found, &importers),
        holders: importers.into_iter().map(|importer| importer.holder).collect(),
        ..bare(VERDICT, confidence)
    }
}

fn numbers(found: &Found, importers: &[Importer]) -> Vec<Evidence> {
    let sum = |of: fn(&Importer) -> u64| importers.iter().map(of).sum();
    let mut numbers = vec![
        evidence("pieces open", found.pieces, None, "pieces"),
        evidence("opened", sum(|importer| importer.opens), None, "times"),
        evidence("closed", sum(|importer| importer.closes), None, "times"),
    ];
    numbers.extend(found.steps.map(|steps| evidence("steps of the oldest", steps, None, "steps")));
    let per_step = found.rate.and_then(|(per_step, _)| per_step);
    numbers.extend(per_step.map(|bytes| amount("more in a step", bytes)));
    numbers
}

fn text(
    place: &Place<'_>,
    found: &Found,
    importers: &[Importer],
    line: &str,
    since_ns: u64,
) -> String {
    let (who, pieces) = (who(place.process), count(found.pieces, "piece"));
    let (amount, device) = (bytes(found.bytes), place.device.device);
    let mut said = match found.cause {
        Cause::GivenBack => format!(
            "{who} gave {amount} back on device {device}, and the driver keeps it: other processes \
             have {pieces} of it open, taken at {line}."
        ),
        Cause::Growing => format!(
            "{who} hands ever more memory to other processes, which keep it open: {pieces} of \
             {amount} on device {device} since {}, taken at {line}.",
            clock(since_ns),
        ),
    };
    let per_step = found.rate.and_then(|(per_step, _)| per_step);
    if let Some(per_step) = per_step {
        said.push_str(&format!(" It is {} more each step", bytes(per_step)));
        if let Some(steps) = found.steps {
            said.push_str(&format!("; the oldest has been alive for {}", count(steps, "step")));
        }
        said.push('.');
    }
    for Importer { name, line, holder, opens, closes } in importers {
        let (opened, closed) = (count(*opens, "time"), count(*closes, "time"));
        said.push_str(&format!(
            " {name} opened them {opened} and closed them {closed}; it has {} open, from {line}.",
            bytes(holder.bytes),
        ));
    }
    said
}

fn advice(place: &Place<'_>, found: &Found, importers: &[Importer]) -> String {
    let Some(first) = importers.first() else { return String::new() };
    let Importer { name, line, .. } = first;
    let then = match found.cause {
        Cause::GivenBack => String::new(),
        Cause::Growing => format!(
            " After that {} can use it again; torch.cuda.ipc_collect() there makes PyTorch look at \
             once.",
            who(place.process)
        ),
    };
    format!(
        "drop in {name} what {line} opened, as soon as it was copied: a tensor that came from another \
         process keeps that one's memory until it and all views of it are gone.{then}"
    )
}
