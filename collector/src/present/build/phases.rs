//! Phases of a process for the report.

use super::{Subject, sites::SiteBook};
use crate::{
    phase::{self, Name, OnDevice},
    present::report::{Mark, Phase, PhaseDevice, PhaseSite, Phases, Steps},
    state::{Device, Site, Use},
};

pub(super) fn phases(subject: &mut Subject<'_>, book: &mut SiteBook) -> Phases {
    let process = subject.process;
    let told = &process.played.phases;
    let text = |id| phase::text(&process.tables, id);
    let names = told.names(text);
    let steps = phase::steps(&names);
    let realtime = |time: u64| process.identity.realtime(time);
    let marks = told.moments(text).into_iter().map(|(name, moment)| Mark {
        name,
        count: moment.count,
        first_ns: realtime(moment.first),
        last_ns: realtime(moment.last),
    });
    let marks = marks.collect();
    let mut phases: Vec<Phase> =
        names.iter().map(|(name, told)| one(subject, book, name, told)).collect();
    phases.sort_by_key(|phase| std::cmp::Reverse(phase.time_ns));
    let since = process.played.known_since;
    Phases {
        known_since_ns: (since > 0).then(|| realtime(since)),
        steps: steps.map(|steps| Steps { name: steps.name, count: steps.count }),
        phases,
        marks,
        ends_without_begin: told.ends_without_begin,
    }
}

fn one(subject: &mut Subject<'_>, book: &mut SiteBook, name: &str, told: &Name) -> Phase {
    let realtime = |time: u64| subject.process.identity.realtime(time);
    Phase {
        name: name.to_owned(),
        count: told.count,
        time_ns: told.time,
        longest_ns: told.longest,
        first_ns: told.first.map(realtime),
        last_ns: (told.count > 0).then(|| realtime(told.last)),
        open: told.open,
        unended: told.unended,
        cut: told.cut,
        devices: told.devices.iter().map(|(at, on)| device(subject, book, *at, on)).collect(),
    }
}

fn device(
    subject: &mut Subject<'_>,
    book: &mut SiteBook,
    device: Device,
    on: &OnDevice,
) -> PhaseDevice {
    let gauges = subject.process.gauges.iter().find(|gauges| gauges.device == device);
    let has_blocks = on.peak_allocated > 0 || gauges.is_some_and(|g| g.allocated_peak > 0);
    let blocks = |bytes: u64| has_blocks.then_some(bytes);
    PhaseDevice {
        device,
        peak_allocated_bytes: blocks(on.peak_allocated),
        peak_time_ns: (on.peak_allocated > 0)
            .then(|| subject.process.identity.realtime(on.peak_time)),
        peak_sites: sites(subject, book, &on.at_peak),
        peak_reserved_bytes: on.peak_reserved,
        survived_bytes: blocks(on.survived.bytes),
        survived_blocks: blocks(on.survived.blocks),
        survivor_sites: sites(subject, book, &on.survivors),
        most_survived_bytes: blocks(on.most_survived),
    }
}

/// Two stacks that are one site's are one entry, as stacks of two processes are.
fn sites(subject: &mut Subject<'_>, book: &mut SiteBook, sites: &[(Site, Use)]) -> Vec<PhaseSite> {
    let mut listed: Vec<PhaseSite> = Vec::new();
    for (site, used) in sites {
        let id = book.id(subject, *site);
        match listed.iter_mut().find(|entry| entry.site == id) {
            Some(entry) => {
                entry.bytes = entry.bytes.saturating_add(used.bytes);
                entry.blocks = entry.blocks.saturating_add(used.blocks);
            }
            None => listed.push(PhaseSite { site: id, bytes: used.bytes, blocks: used.blocks }),
        }
    }
    listed.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.site.cmp(&b.site)));
    listed
}
