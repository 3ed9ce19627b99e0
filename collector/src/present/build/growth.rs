//! Growth of a process's sites since the end of its warm-up.

use std::{cmp::Reverse, collections::BTreeMap};

use super::{Subject, sites::SiteBook};
use crate::{
    present::{
        report::{Growth, GrowthSite},
        total,
    },
    process::Growing,
    state::{Device, Site, Use},
    symbol::site::SiteId,
};

/// The sites that grew, where growth was asked for and what to measure it from is known.
pub(super) fn growth(
    subject: &mut Subject<'_>,
    book: &mut SiteBook,
    growing: Option<&Growing>,
) -> Option<Growth> {
    let Growing { most, firsts } = growing?;
    let first = firsts.get(&subject.identity().instance)?;
    let state = &subject.process.played.state;
    let now: BTreeMap<Device, BTreeMap<Site, Use>> =
        state.devices().map(|device| (device, state.sites(device))).collect();
    // Stacks that are one site by content are one here.
    let mut all: BTreeMap<(Device, SiteId), [Use; 2]> = BTreeMap::new();
    for (at, devices) in [&first.sites, &now].into_iter().enumerate() {
        for (device, sites) in devices {
            for (site, used) in sites {
                let both = all.entry((*device, book.site(subject, *site))).or_default();
                both[at].bytes = both[at].bytes.saturating_add(used.bytes);
                both[at].blocks = both[at].blocks.saturating_add(used.blocks);
            }
        }
    }
    let mut grown: Vec<_> = all.into_iter().filter(|(_, [a, b])| b.bytes > a.bytes).collect();
    let by = |[a, b]: &[Use; 2]| b.bytes - a.bytes;
    grown.sort_by_key(|(key, both)| (Reverse(by(both)), *key));
    let rest = grown.split_off(grown.len().min(*most));
    let site = |((device, id), [a, b]): ((Device, SiteId), [Use; 2])| GrowthSite {
        site: id.to_string(),
        device,
        first_bytes: a.bytes,
        last_bytes: b.bytes,
        first_blocks: a.blocks,
        last_blocks: b.blocks,
    };
    Some(Growth {
        since_ns: subject.identity().realtime(first.time),
        sites: grown.into_iter().map(site).collect(),
        others: rest.len() as u64,
        others_bytes: total(rest.iter().map(|(_, both)| by(both))),
    })
}
