//! Who asked the driver for memory, in what pieces, and when much at once.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    rc::Rc,
};

use super::{Subject, sites::SiteBook};
use crate::{
    detect::bursts::{Taken, bursts},
    present::report::{Burst, Owner, SIZES, SizeClass},
    state::{Kind, Owned},
    symbol::owner,
};

/// What is added up of one owner.
#[derive(Default)]
struct Pieces {
    bytes: u64,
    extents: u64,
    sizes: HashMap<u64, u64>,
    taken: BTreeMap<Kind, Vec<Taken>>,
}

/// The owners of a device's memory, most bytes first.
pub(super) fn owners(
    subject: &mut Subject<'_>,
    book: &mut SiteBook,
    owned: &Owned<Rc<str>>,
) -> Vec<Owner> {
    let mut pieces: BTreeMap<&str, Pieces> = BTreeMap::new();
    for (name, segment, _) in &owned.segments {
        for extent in segment.extents.iter().filter(|extent| extent.physical > 0) {
            let sum = pieces.entry(name).or_default();
            sum.bytes = sum.bytes.saturating_add(extent.physical);
            sum.extents += 1;
            *sum.sizes.entry(extent.physical).or_default() += 1;
            let taken = Taken { time: extent.birth, bytes: extent.physical, site: extent.site };
            sum.taken.entry(segment.kind).or_default().push(taken);
        }
    }
    let mut owners: Vec<Owner> = pieces
        .into_iter()
        .map(|(name, pieces)| {
            let mut sizes: Vec<SizeClass> =
                pieces.sizes.iter().map(|(size, extents)| class(*size, *extents)).collect();
            sizes.sort_by_key(|class| Reverse((class.size * class.extents, class.size)));
            sizes.truncate(SIZES);
            let bursts = match name {
                owner::TORCH => Vec::new(),
                _ => at_once(subject, book, pieces.taken),
            };
            let (bytes, extents) = (pieces.bytes, pieces.extents);
            Owner { name: name.to_owned(), bytes, extents, sizes, bursts }
        })
        .collect();
    owners.sort_by_key(|owner| Reverse(owner.bytes));
    owners
}

const fn class(size: u64, extents: u64) -> SizeClass {
    SizeClass { size, extents }
}

fn at_once(
    subject: &mut Subject<'_>,
    book: &mut SiteBook,
    taken: BTreeMap<Kind, Vec<Taken>>,
) -> Vec<Burst> {
    let mut all = Vec::new();
    for (kind, taken) in taken {
        let Some(call) = call(kind) else { continue };
        for burst in bursts(taken) {
            all.push(Burst {
                time_ns: subject.identity().realtime(burst.time),
                bytes: burst.bytes,
                calls: burst.calls,
                call: call.to_owned(),
                site: book.id(subject, burst.site),
            });
        }
    }
    all.sort_by_key(|burst| burst.time_ns);
    all
}

/// What is called for memory of a kind; none for a pool, whose reserve grows without a call.
const fn call(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Linear => Some("cuMemAlloc"),
        Kind::Vmm => Some("cuMemCreate"),
        Kind::Array => Some("cuArrayCreate"),
        Kind::Pool | Kind::Graph | Kind::Managed | Kind::Imported | Kind::Host => None,
    }
}
