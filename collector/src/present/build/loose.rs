//! Memory that is mapped nowhere, and memory whose handle was released, by who took it.

use std::{cmp::Reverse, collections::BTreeMap};

use super::{Subject, sites::SiteBook};
use crate::{
    present::report::{LooseHandles, Missing},
    state,
};

/// The loose handles of a device, most bytes first.
pub(super) fn of_device(
    subject: &mut Subject<'_>,
    book: &mut SiteBook,
    device: u8,
) -> Vec<LooseHandles> {
    let loose: Vec<state::Loose> = subject.process.played.state.loose(device).collect();
    let mut sums: BTreeMap<(Missing, String), (u64, u64, u64)> = BTreeMap::new();
    for one in loose {
        let missing = match one.missing {
            state::Missing::Mapping => Missing::Mapping,
            state::Missing::Name => Missing::Name,
        };
        let key = (missing, book.id(subject, one.site));
        let (bytes, handles, oldest) = sums.entry(key).or_insert((0, 0, u64::MAX));
        *bytes = bytes.saturating_add(one.bytes);
        *handles += 1;
        *oldest = (*oldest).min(one.birth);
    }
    let mut sums: Vec<LooseHandles> = sums
        .into_iter()
        .map(|((missing, site), (bytes, handles, oldest))| LooseHandles {
            missing,
            site,
            bytes,
            handles,
            since_ns: subject.identity().realtime(oldest),
        })
        .collect();
    sums.sort_by_key(|sum| Reverse(sum.bytes));
    sums
}
