//! What a process holds: the segment map, advanced only by `apply`.
//!
//! ```text
//!            ┌ spans         linear, managed, IPC imports: address ranges, an extent each
//! Event ──▶  ├ vmm           handles (bytes), mappings (addresses), reservations
//! apply      ├ pools         stream-ordered pools and what lies in them
//!            ├ things        arrays, graph memory, pinned host memory: no device address
//!            ├ blocks        what PyTorch handed out
//!            └ shares        what goes between processes
//!                 └────▶ books: totals and live bytes per site, kept with every change
//! ```
//!
//! Nothing here reads a file or a clock. The same events in, the same state out; and an event whose
//! effect is there already changes nothing, because a live set and a ring are never read at the
//! same instant: an `Alloc` replaces what was at its address unless that is younger, and a free
//! ignores what is absent or younger than itself.

mod apply;
mod book;
mod build;
mod live;
mod live_block;
mod loose;
mod owner;
mod piece;
mod pool;
mod range;
mod segment;
mod share;
mod sharing;
mod site;
mod start;
mod unit;
mod vmm;

#[cfg(test)]
mod tests;

pub use book::{Growth, Totals};
pub use live_block::LiveBlock;
pub use loose::{Loose, Missing};
pub use owner::{Allocator, Backend, Owned};
pub use segment::{Block, Extent, Free, Kind, Segment};
pub use share::Share;
pub use sharing::Lenders;
pub use site::{Peak, Site, Turnover, Use};

use std::collections::{BTreeMap, HashMap, HashSet};

use wire::record::Class;

use book::Books;
use piece::Ending;
use pool::Pools;
use range::{Born, Ranges};
use share::Shares;
use unit::Unit;
use vmm::{HandleId, Vmm};

/// A CUDA ordinal of the process, as records name it.
pub type Device = u8;

/// A live block of PyTorch's caching allocator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Lent {
    device: Device,
    site: Site,
    birth: u64,
}

impl Born for Lent {
    fn birth(&self) -> u64 {
        self.birth
    }
}

/// Memory whose standing is open until the thread that took it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fresh {
    thread: u32,
    birth: u64,
    of: FreshUnit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FreshUnit {
    Span(u64),
    Handle(HandleId),
}

/// What one process holds.
#[derive(Clone, Debug, Default)]
pub struct State {
    spans: Ranges<Unit>,
    vmm: Vmm,
    pools: Pools,
    things: BTreeMap<(Class, u64), Unit>,
    blocks: Ranges<Lent>,
    shares: Shares,
    books: Books,
    fresh: Vec<Fresh>,
    /// Native stacks that pass through PyTorch's device allocator.
    allocator_stacks: HashSet<u32>,
    ending: Ending,
    /// Time of the last event.
    now: u64,
}

impl State {
    /// The devices something was ever held on.
    pub fn devices(&self) -> impl Iterator<Item = Device> {
        self.books.accounts().keys().copied()
    }

    /// What is held on a device.
    #[must_use]
    pub fn totals(&self, device: Device) -> Totals {
        self.books.get(device).map(|account| account.totals).unwrap_or_default()
    }

    /// In how many pieces the driver gave what is held on a device: handles, linear memory, pools.
    #[must_use]
    pub fn extents(&self, device: Device) -> u64 {
        let handles = self.vmm.handles().values().map(|handle| &handle.unit);
        let units = self.spans.iter().map(|span| &span.value).chain(self.things.values());
        let counts = |unit: &&Unit| unit.device == device && unit.kind().reserved();
        let pools = self.pools.pools().values();
        let pools = pools.filter(|pool| pool.device == device && pool.reserve > 0);
        (units.chain(handles).filter(counts).count() + pools.count()) as u64
    }

    /// The blocks of PyTorch's: device, address, bytes and who took them.
    pub fn blocks(&self) -> impl Iterator<Item = (Device, u64, u64, Site)> {
        self.blocks.iter().map(|b| (b.value.device, b.start, b.size, b.value.site))
    }

    /// Pinned host memory, bytes.
    #[must_use]
    pub fn pinned(&self) -> u64 {
        self.books.pinned
    }

    /// Time of the last event, ns of `CLOCK_MONOTONIC`; 0 before the first.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.now
    }

    /// What is live on a device by site: blocks, and direct memory as a whole.
    #[must_use]
    pub fn sites(&self, device: Device) -> BTreeMap<Site, Use> {
        let mut sites =
            self.books.get(device).map(|account| account.sites.live()).unwrap_or_default();
        for unit in self.fresh_units().filter(|unit| unit.device == device) {
            let used = sites.entry(unit.site).or_default();
            used.bytes += unit.size;
            used.blocks += 1;
        }
        sites
    }

    /// What one site has live on a device.
    #[must_use]
    pub fn site(&self, device: Device, site: Site) -> Use {
        self.books.get(device).map(|account| account.sites.live_of(site)).unwrap_or_default()
    }

    /// The greatest sum of live bytes a device ever had, and when.
    #[must_use]
    pub fn peak(&self, device: Device) -> Peak {
        let Some(account) = self.books.get(device) else { return Peak::default() };
        let mut peak = account.sites.peak();
        peak.rise(account.sites.total() + self.fresh_bytes(device), self.now);
        peak
    }

    /// What was live at that peak, by site.
    #[must_use]
    pub fn sites_at_peak(&self, device: Device) -> BTreeMap<Site, Use> {
        let Some(account) = self.books.get(device) else { return BTreeMap::new() };
        if account.sites.total() + self.fresh_bytes(device) > account.sites.peak().bytes {
            return self.sites(device);
        }
        account.sites.at_peak()
    }

    /// Blocks that came and went on a device since this was asked last, by site.
    pub fn take_turnover(&mut self, device: Device) -> HashMap<Site, Turnover> {
        self.books.account(device).sites.take_turnover()
    }

    /// Memory the last event showed to be PyTorch's allocator's.
    #[must_use]
    pub fn grown(&self) -> &[Growth] {
        &self.books.grown
    }

    fn fresh_units(&self) -> impl Iterator<Item = &Unit> {
        self.fresh.iter().filter_map(|fresh| {
            let unit = match fresh.of {
                FreshUnit::Span(start) => self.spans.at(start).map(|span| &span.value),
                FreshUnit::Handle(id) => self.vmm.handles().get(&id).map(|handle| &handle.unit),
            };
            unit.filter(|unit| unit.birth == fresh.birth && unit.is_fresh())
        })
    }

    fn fresh_bytes(&self, device: Device) -> u64 {
        self.fresh_units().filter(|unit| unit.device == device).map(|unit| unit.size).sum()
    }
}
