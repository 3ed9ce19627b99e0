//! Graph pools: memory that PyTorch's allocator took while a graph was captured, and keeps for it.
//!
//! An extent belongs to a graph's pool if it was taken while a capture was under way. That is all
//! that can be seen from outside; what it leaves out stands in docs/report-json.md.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    rc::Rc,
};

use super::{Subject, sites::SiteBook};
use crate::{
    present::report::{GraphPoolSite, GraphPools},
    state::{Extent, Owned, Segment},
};

/// The graph pools of one owner.
pub(super) fn of_owner(
    subject: &mut Subject<'_>,
    book: &mut SiteBook,
    owned: &Owned<Rc<str>>,
    name: &str,
) -> GraphPools {
    let mut pools = GraphPools::default();
    let mut sites: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    let oldest = pooled(owned, name).map(|segment| segment.birth).min();
    pools.since_ns = oldest.map(|birth| subject.identity().realtime(birth));
    for extent in segments(owned, name).flat_map(private) {
        pools.reserved_bytes += extent.physical;
        pools.allocated_bytes += extent.backed();
        let (bytes, extents) = sites.entry(book.id(subject, extent.site)).or_default();
        *bytes += extent.physical;
        *extents += 1;
    }
    let site = |(site, (bytes, extents))| GraphPoolSite { site, bytes, extents };
    pools.sites = sites.into_iter().map(site).collect();
    pools.sites.sort_by_key(|site| Reverse(site.bytes));
    pools
}

/// Bytes of live blocks in the graph pools of one owner, by site.
pub(super) fn live(
    subject: &mut Subject<'_>,
    book: &mut SiteBook,
    owned: &Owned<Rc<str>>,
    name: &str,
) -> HashMap<String, u64> {
    let mut live: HashMap<String, u64> = HashMap::new();
    for segment in pooled(owned, name) {
        for block in &segment.blocks {
            let bytes = segment.private_bytes(block);
            if bytes > 0 {
                *live.entry(book.id(subject, block.site)).or_default() += bytes;
            }
        }
    }
    live
}

fn segments<'a>(owned: &'a Owned<Rc<str>>, name: &str) -> impl Iterator<Item = &'a Segment> {
    let of_owner = owned.segments.iter().filter(move |(owner, ..)| **owner == *name);
    of_owner.map(|(_, segment, _)| segment).filter(|segment| segment.kind.reserved())
}

fn pooled<'a>(owned: &'a Owned<Rc<str>>, name: &str) -> impl Iterator<Item = &'a Segment> {
    segments(owned, name).filter(|segment| private(segment).next().is_some())
}

fn private(segment: &Segment) -> impl Iterator<Item = &Extent> {
    segment.extents.iter().filter(|extent| extent.private)
}
