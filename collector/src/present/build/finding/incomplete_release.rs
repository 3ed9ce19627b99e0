//! Incomplete release: what a process went on holding in a sleep, and who of it.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
};

use super::{
    Subject, amount, bare, evidence,
    place::{Place, inside, named, several},
};
use crate::{
    detect::incomplete_release::{Cause, Finding as Found, Sure, Verdict, check},
    ledger::Instance,
    phase::{self, Slept},
    present::{
        build::{shared::Commons, sites::SiteBook},
        report::{Confidence, Evidence, Finding, Holder, Process},
        text::{bytes, clock, count, name},
        total,
    },
    process::Job,
    sharing::{Export, OpenBytes},
    state::{Free, Site, Use},
    symbol::{modules::file_name, owner, site::SiteId},
};

/// The name of the verdict.
const VERDICT: &str = "incomplete-release";

/// The last sleep of a name on one device of one process.
struct Case<'a> {
    slept: Slept,
    found: Found,
    name: String,
    place: Place<'a>,
    since_ns: u64,
    /// Most bytes first.
    holders: Vec<Holder>,
    /// What of it others have open, by what they are called; most bytes first.
    lent: Vec<(String, u64)>,
    /// The line of the first.
    line: Option<String>,
}

impl Cause {
    const fn name(self) -> &'static str {
        match self {
            Self::Cache => "cache kept",
            Self::Nothing => "nothing released",
            Self::More => "more than before",
            Self::Kept => "half kept",
        }
    }
}

impl Case<'_> {
    const fn held(&self) -> u64 {
        self.slept.held.reserved
    }

    fn free(&self) -> Free {
        self.slept.held.by.as_ref().map(|by| by.free).unwrap_or_default()
    }

    const fn confidence(&self) -> Confidence {
        match self.found.sure {
            Sure::Yes => Confidence::Alert,
            Sure::Perhaps => Confidence::Suspect,
            Sure::Told => Confidence::Info,
        }
    }

    fn evidence(&self) -> Vec<Evidence> {
        let Slept { before, times, least_before, .. } = self.slept;
        let free = self.free();
        let mut numbers = vec![
            evidence("held when least was", self.held(), Some(self.found.limit), "bytes"),
            amount("held before", before),
            amount("released", before.saturating_sub(self.held())),
            amount("releasable", free.releasable),
            amount("stranded", free.stranded),
            amount("private", free.private),
            evidence("sleeps seen", times, None, "times"),
            evidence("extents held", self.slept.held.extents, None, "extents"),
        ];
        let extents = self.slept.extents_before;
        numbers.extend(extents.map(|all| evidence("extents before", all, None, "extents")));
        if !self.lent.is_empty() {
            let lent = total(self.lent.iter().map(|(_, bytes)| *bytes));
            numbers.push(amount("open in other processes", lent));
        }
        numbers.extend(least_before.map(|least| amount("least in an earlier one", least)));
        numbers
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
    type Key = (Confidence, Cause, String, Option<String>);
    let mut cases: BTreeMap<Key, Vec<Case<'_>>> = BTreeMap::new();
    for (subject, process) in subjects.iter_mut().zip(processes) {
        for slept in subject.process.played.phases.sleeps.clone() {
            let Some(device) = process.devices.iter().find(|d| d.device == slept.device) else {
                continue;
            };
            let place = Place { process, device };
            if let Some(case) = case(job, subject, book, commons, place, slept) {
                let site = case.holders.first().map(|holder| holder.site.clone());
                let key = (case.confidence(), case.found.cause, case.name.clone(), site);
                cases.entry(key).or_default().push(case);
            }
        }
    }
    cases.into_values().map(finding).collect()
}

fn case<'a>(
    job: &Job,
    subject: &mut Subject<'_>,
    book: &mut SiteBook,
    commons: &Commons<'_>,
    place: Place<'a>,
    slept: Slept,
) -> Option<Case<'a>> {
    let process = subject.process;
    let gauges = process.gauges.iter().find(|gauges| gauges.device == slept.device);
    let total = gauges.map_or(0, |gauges| gauges.total);
    let Verdict::Held(found) = check(&slept, total, process.identity.monotonic(job.as_of)) else {
        return None;
    };
    let lent = lent(subject, commons, &slept);
    let holders = holders(subject, book, &slept);
    let line = holders.first().map(|(id, _)| book.name(*id));
    let holders = holders.into_iter().map(|(_, holder)| holder).collect();
    let name = phase::text(&process.tables, slept.name).trim().to_owned();
    let since_ns = process.identity.realtime(slept.began);
    Some(Case { slept, found, name, place, since_ns, holders, lent, line })
}

/// What others have open of the memory that was there when the sleep began and is there yet: it cannot
/// go before they close it.
fn lent(subject: &Subject<'_>, commons: &Commons<'_>, slept: &Slept) -> Vec<(String, u64)> {
    let mut lent: BTreeMap<Instance, u64> = BTreeMap::new();
    let mut open = OpenBytes::default();
    let there = |export: &&Export| export.share.is_held() && export.share.birth <= slept.began;
    for export in commons.out(subject, slept.device).filter(there) {
        for import in commons.shared.openers(export).filter(|import| import.kept) {
            let sum = lent.entry(import.holder).or_default();
            *sum = sum.saturating_add(open.add(&commons.shared, import));
        }
    }
    let mut lent: Vec<(String, u64)> = lent
        .into_iter()
        .filter_map(|(holder, bytes)| {
            let process = commons.process(holder)?;
            let name = name(process.role.as_deref(), &process.command);
            Some((format!("{name} (pid {})", process.pid), bytes))
        })
        .collect();
    lent.sort_by_key(|(_, bytes)| Reverse(*bytes));
    lent
}

/// Who held the memory, most bytes first.
fn holders(subject: &mut Subject<'_>, book: &mut SiteBook, slept: &Slept) -> Vec<(SiteId, Holder)> {
    let Some(by) = &slept.held.by else { return Vec::new() };
    let program = file_name(&subject.identity().executable).to_owned();
    let mut held: HashMap<_, Holder> = HashMap::new();
    let mut add = |subject: &mut Subject<'_>, site: Site, used: Use, owner: String| {
        let id = book.site(subject, site);
        let new = || Holder { site: id.to_string(), owner, bytes: 0, blocks: 0 };
        let holder = held.entry(id).or_insert_with(new);
        holder.bytes = holder.bytes.saturating_add(used.bytes);
        holder.blocks = holder.blocks.saturating_add(used.blocks);
    };
    for (site, used) in &by.blocks {
        add(subject, *site, *used, owner::TORCH.to_owned());
    }
    for (site, used) in &by.direct {
        let frames = subject.process.tables.frames(site.native);
        let its = owner::owner(subject.stacks.modules(), &frames).map(str::to_owned);
        add(subject, *site, *used, its.unwrap_or_else(|| program.clone()));
    }
    let mut held: Vec<_> = held.into_iter().collect();
    held.sort_by_key(|(id, holder)| (Reverse(holder.bytes), *id));
    held
}

fn finding(mut cases: Vec<Case<'_>>) -> Finding {
    cases.sort_by_key(|case| Reverse(case.held()));
    let places: Vec<Place<'_>> = cases.iter().map(|case| case.place).collect();
    let Some(first) = cases.first() else { return bare(VERDICT, Confidence::Info) };
    Finding {
        instances: cases.iter().map(|case| case.place.instance(case.held())).collect(),
        bytes: total(cases.iter().map(Case::held)),
        site: first.holders.first().map(|holder| holder.site.clone()).unwrap_or_default(),
        text: text(first, &cases, &places),
        advice: advice(first, &places),
        releasable_bytes: total(cases.iter().map(|case| case.free().releasable)),
        since_ns: cases.iter().map(|case| case.since_ns).min().unwrap_or(0),
        cause: Some(first.found.cause.name().to_owned()),
        evidence: first.evidence(),
        phase: Some(first.name.clone()),
        holders: first.holders.clone(),
        ..bare(VERDICT, first.confidence())
    }
}

fn text(first: &Case<'_>, cases: &[Case<'_>], places: &[Place<'_>]) -> String {
    let before = bytes(total(cases.iter().map(|case| case.slept.before)));
    let held = bytes(total(cases.iter().map(Case::held)));
    let did = match first.found.cause {
        Cause::Nothing => "released nothing",
        Cause::Cache => "kept free memory",
        Cause::More => "released less than another time",
        Cause::Kept => "kept much",
    };
    let (who, place) = match places {
        [one] => (one.who(), format!("on device {}", one.device.device)),
        _ => (several(places), format!("by {}", named(places))),
    };
    let earlier = match (first.found.cause, first.slept.least_before) {
        (Cause::More, Some(least)) => format!(", {} in an earlier one", bytes(least)),
        _ => String::new(),
    };
    format!(
        "{who} {did} in {}: {before} reserved before, {held} when least was{earlier}, {place} at {}.{}",
        first.name,
        clock(first.since_ns),
        held_by(first),
    )
}

/// Who held most, and what of it is free.
fn held_by(case: &Case<'_>) -> String {
    let free = case.free();
    let mut said = String::new();
    if let (Some(first), Some(line)) = (case.holders.first(), &case.line) {
        let blocks = count(first.blocks, "block");
        said = format!(" {blocks} of {} ({}) from {line} stayed", bytes(first.bytes), first.owner);
        let others = &case.holders[1..];
        if !others.is_empty() {
            let rest = total(others.iter().map(|holder| holder.bytes));
            said.push_str(&format!(
                ", {} of {}",
                bytes(rest),
                count(others.len() as u64, "other line")
            ));
        }
        said.push('.');
    }
    if free.releasable > 0 {
        said.push_str(&format!(" {} lay in no block.", bytes(free.releasable)));
    }
    for (name, lent) in &case.lent {
        said.push_str(&format!(
            " {name} has {} of it open, which cannot go before that is closed.",
            bytes(*lent)
        ));
    }
    if let Some(before) = case.slept.extents_before {
        let (held, before) = (case.slept.held.extents, count(before, "extent"));
        said.push_str(&format!(" Of {before} it kept {held}."));
    }
    said
}

fn advice(case: &Case<'_>, places: &[Place<'_>]) -> String {
    let (inside, name) = (inside(places), &case.name);
    let line = case.line.as_deref().unwrap_or("the lines that hold most");
    if let Some((name, _)) = case.lent.first() {
        return format!(
            "close in {name} before {} what came from {}: a tensor that another process sent keeps its \
             memory. Then drop it {inside} and call torch.cuda.empty_cache().",
            case.name,
            case.place.who(),
        );
    }
    match case.found.cause {
        Cause::Cache => format!(
            "call torch.cuda.empty_cache() {inside} at the end of {name}, after the last tensor has gone."
        ),
        Cause::Nothing | Cause::More => format!(
            "give back {inside} at {name} what {line} keeps: drop the references and call \
             torch.cuda.empty_cache(), or take it in a region of torch_memory_saver that {name} pauses."
        ),
        Cause::Kept => format!("nothing, if what {line} keeps is meant to stay in {name}."),
    }
}
