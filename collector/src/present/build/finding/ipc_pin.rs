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
    sharing::{Export, Import, OpenBytes},
    symbol::site::Stacks,
};

/// The name of the verdict.
const VERDICT: &str = "ipc-pin";

/// When what others have open is looked at.
#[derive(Clone, Copy)]
struct Look {
    /// `CLOCK_MONOTONIC` of the owner, ns.
    time: u64,
    /// Whether that is over. What closed it since, if anything, may be its holder's end: an interpreter
    /// that goes drops what its program kept.
    past: bool,
}

impl Look {
    fn is_open(self, import: &Import) -> bool {
        if self.past { import.was_open(self.time) } else { import.kept }
    }

    /// When it was given back, if it was.
    fn given_back(self, export: &Export) -> Option<u64> {
        export.share.ended.filter(|ended| *ended <= self.time)
    }

    /// How often it was opened and closed until then. Of what was open then no close counts: it may be
    /// one of those that came later.
    fn counts(self, import: &Import) -> (u64, u64) {
        let later = self.past && import.was_open(self.time);
        (import.share.times, if later { 0 } else { import.share.closes })
    }
}

/// A process that has pieces of it open.
struct Importer {
    /// What to call it.
    name: String,
    has_ended: bool,
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
            let looks = looks(job, subject);
            let lenders = subject.process.played.state.lenders();
            let mut by_site: BTreeMap<String, Vec<&Export>> = BTreeMap::new();
            for export in commons.handed_out(subject, device.device).collect::<Vec<_>>() {
                let mut openers = commons.shared.openers(export);
                if openers.any(|import| looks.iter().any(|look| look.is_open(import))) {
                    let site = shared::site(subject, book, &lenders, &export.share);
                    by_site.entry(site).or_default().push(export);
                }
            }
            let steps = &subject.process.played.steps;
            for (site, exports) in by_site {
                let found = looks.iter().find_map(|look| {
                    if look.past && !has_ended(&exports, commons, *look) {
                        return None;
                    }
                    match check(&pinned(&exports, commons, *look), steps, look.time) {
                        Verdict::Pinned(found) => Some((*look, found)),
                        Verdict::Fine => None,
                    }
                });
                if let Some((look, found)) = found {
                    let importers = importers(&exports, &found, commons, look, book);
                    let since_ns = subject.identity().realtime(found.since);
                    findings.push(finding(&place, site, &found, look, importers, since_ns, book));
                }
            }
        }
    }
    findings
}

/// Now, and the begin of the owner's last step: the last moment at which it was surely at work. Without
/// steps there is none.
fn looks(job: &Job, subject: &Subject<'_>) -> Vec<Look> {
    let now = Look { time: subject.identity().monotonic(job.as_of), past: false };
    let last = subject.process.played.steps.last();
    std::iter::once(now).chain(last.map(|begin| Look { time: *begin, past: true })).collect()
}

/// Whether the owner has ended, or one who had some of it open.
fn has_ended(exports: &[&Export], commons: &Commons<'_>, look: Look) -> bool {
    let mut openers = exports.iter().flat_map(|export| commons.shared.openers(export));
    exports.first().is_some_and(|export| commons.is_over(export.owner))
        || openers.any(|import| look.is_open(import) && commons.is_over(import.holder))
}

/// What of it others have open, each piece once under however many names it went out.
fn pinned(exports: &[&Export], commons: &Commons<'_>, look: Look) -> Vec<Piece> {
    let mut pieces: BTreeMap<(u64, u64), Piece> = BTreeMap::new();
    for export in exports {
        let open = commons.shared.openers(export).filter(|import| look.is_open(import));
        if let Some(until) = open.map(|import| import.until).max() {
            let share = &export.share;
            let (bytes, since, given_back) = (share.size, share.since, look.given_back(export));
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
    look: Look,
    book: &mut SiteBook,
) -> Vec<Importer> {
    let mut imports: BTreeMap<Instance, Vec<&Import>> = BTreeMap::new();
    let mine = exports.iter().filter(|export| match found.cause {
        Cause::GivenBack => look.given_back(export).is_some(),
        Cause::Growing => export.share.since >= found.since,
    });
    let all = mine.flat_map(|export| commons.shared.openers(export));
    for import in all.filter(|import| import.share.since <= look.time) {
        imports.entry(import.holder).or_default().push(import);
    }
    let of =
        |(instance, all): (Instance, Vec<&Import>)| importer(instance, &all, commons, look, book);
    let mut importers: Vec<Importer> = imports.into_iter().filter_map(of).collect();
    importers.sort_by_key(|importer| Reverse(importer.holder.bytes));
    importers
}

fn importer(
    instance: Instance,
    imports: &[&Import],
    commons: &Commons<'_>,
    look: Look,
    book: &mut SiteBook,
) -> Option<Importer> {
    let process = commons.process(instance)?;
    let mut subject =
        Subject { process, stacks: Stacks::new(&process.tables, None), owned: BTreeMap::new() };
    let open: Vec<&&Import> = imports.iter().filter(|import| look.is_open(import)).collect();
    let (mut sites, mut bytes): (BTreeMap<_, u64>, _) = (BTreeMap::new(), OpenBytes::default());
    for import in &open {
        let sum = sites.entry(import.share.site).or_default();
        *sum = sum.saturating_add(bytes.add(&commons.shared, import));
    }
    let bytes = sites.values().fold(0, |sum: u64, bytes| sum.saturating_add(*bytes));
    let (most, _) = sites.into_iter().max_by_key(|(_, bytes)| *bytes)?;
    let site = book.site(&mut subject, most);
    let name = crate::present::text::name(process.role.as_deref(), &process.command);
    let name = format!("{name} (pid {})", process.pid);
    Some(Importer {
        line: book.name(site),
        holder: Holder {
            site: site.to_string(),
            owner: name.clone(),
            bytes,
            blocks: open.len() as u64,
        },
        name,
        has_ended: commons.is_over(instance),
        opens: imports.iter().map(|import| look.counts(import).0).sum(),
        closes: imports.iter().map(|import| look.counts(import).1).sum(),
    })
}

fn finding(
    place: &Place<'_>,
    site: String,
    found: &Found,
    look: Look,
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
        text: text(place, found, look, &importers, &line, since_ns),
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
    look: Look,
    importers: &[Importer],
    line: &str,
    since_ns: u64,
) -> String {
    let (who, pieces) = (who(place.process), count(found.pieces, "piece"));
    let (amount, device, since) = (bytes(found.bytes), place.device.device, clock(since_ns));
    let mut said = match (found.cause, look.past) {
        (Cause::GivenBack, false) => format!(
            "{who} gave {amount} back on device {device}, and the driver keeps it: other processes \
             have {pieces} of it open, taken at {line}."
        ),
        (Cause::GivenBack, true) => format!(
            "{who} had given {amount} back on device {device}, and the driver kept it: other \
             processes had {pieces} of it open when its last step began, taken at {line}."
        ),
        (Cause::Growing, false) => format!(
            "{who} hands ever more memory to other processes, which keep it open: {pieces} of \
             {amount} on device {device} since {since}, taken at {line}."
        ),
        (Cause::Growing, true) => format!(
            "{who} handed ever more memory to other processes, which kept it open: when its last \
             step began, {pieces} of {amount} on device {device} since {since}, taken at {line}."
        ),
    };
    let per_step = found.rate.and_then(|(per_step, _)| per_step);
    if let Some(per_step) = per_step {
        let (is, has) = if look.past { ("was", "had") } else { ("is", "has") };
        said.push_str(&format!(" It {is} {} more each step", bytes(per_step)));
        if let Some(steps) = found.steps {
            said.push_str(&format!("; the oldest {has} been alive for {}", count(steps, "step")));
        }
        said.push('.');
    }
    for Importer { name, has_ended, line, holder, opens, closes } in importers {
        let (opened, closed) = (count(*opens, "time"), count(*closes, "time"));
        let (had, open) = match (look.past, has_ended) {
            (true, _) => ("had ", "had"),
            (false, true) => ("", "ended with"),
            (false, false) => ("", "has"),
        };
        said.push_str(&format!(
            " {name} {had}opened them {opened} and closed them {closed}; it {open} {} open, from \
             {line}.",
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
