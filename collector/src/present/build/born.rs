//! What was taken in a stretch of time and is live now.

use std::collections::{BTreeMap, BTreeSet};

use super::{sites::SiteBook, subject};
use crate::{
    ledger::Instance,
    phase::Span,
    present::{diff::Survivor, text},
    process::Job,
    state::{Site, Use},
    symbol::site::SiteId,
};

/// What each process of `job` has live of what it took in its stretch, ns of `CLOCK_MONOTONIC`: its
/// begin does not count, its end does. By site, most bytes first.
#[must_use]
pub fn born(job: &Job, stretch: impl Fn(Instance) -> Option<Span>) -> Vec<Survivor> {
    let mut book = SiteBook::default();
    let mut all: BTreeMap<SiteId, (Use, BTreeSet<String>)> = BTreeMap::new();
    for process in &job.processes {
        let Some(Span { from, until }) = stretch(process.identity.instance) else { continue };
        // Births are known to the microsecond.
        let within = from / 1000 * 1000..=until;
        let mut by_site: BTreeMap<Site, Use> = BTreeMap::new();
        for block in process.played.state.live_blocks().filter(|b| within.contains(&b.birth)) {
            let used = by_site.entry(block.site).or_default();
            used.bytes = used.bytes.saturating_add(block.bytes);
            used.blocks += 1;
        }
        let mut subject = subject(process);
        let name = text::name(process.role.as_deref(), &process.command);
        for (site, used) in by_site {
            let (sum, roles) = all.entry(book.site(&mut subject, site)).or_default();
            sum.bytes = sum.bytes.saturating_add(used.bytes);
            sum.blocks += used.blocks;
            roles.insert(name.clone());
        }
    }
    let ids: BTreeMap<SiteId, String> = all.keys().map(|id| (*id, id.to_string())).collect();
    let sites = book.told(true, &BTreeSet::new());
    let survivors = all.into_iter().filter_map(|(id, (used, roles))| {
        let site = sites.get(ids.get(&id)?)?.clone();
        let (Use { bytes, blocks }, roles) = (used, roles.into_iter().collect());
        Some(Survivor { site, bytes, blocks, roles })
    });
    let mut survivors: Vec<Survivor> = survivors.collect();
    survivors.sort_by_key(|survivor| std::cmp::Reverse(survivor.bytes));
    survivors
}
