//! The books: totals and live bytes per site of each device, kept with every change.

use std::collections::BTreeMap;

use super::{
    Device, Kind, Site,
    site::Sites,
    unit::{Standing, Unit},
};

/// What a process holds on one device, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Totals {
    /// Linear memory.
    pub linear: u64,
    /// Physical memory of handles, mapped or not.
    pub vmm: u64,
    /// Reserve of stream-ordered pools.
    pub pool: u64,
    /// Arrays.
    pub array: u64,
    /// Graph allocation nodes.
    pub graph: u64,
    /// Memory of other processes; not reserved.
    pub imported: u64,
    /// Managed memory; not reserved.
    pub managed: u64,
    /// In blocks of PyTorch's caching allocator.
    pub allocated: u64,
    /// In stream-ordered allocations.
    pub pool_allocated: u64,
    /// Reserved memory in which a block of PyTorch's ever lay: what its allocator holds.
    pub allocator_reserved: u64,
}

impl Totals {
    /// Physical bytes taken from the driver.
    #[must_use]
    pub const fn reserved(&self) -> u64 {
        self.linear + self.vmm + self.pool + self.array + self.graph
    }

    /// The figure of one kind; none for pinned host memory, which belongs to no device.
    pub(super) fn of(&mut self, kind: Kind) -> Option<&mut u64> {
        Some(match kind {
            Kind::Linear => &mut self.linear,
            Kind::Vmm => &mut self.vmm,
            Kind::Pool => &mut self.pool,
            Kind::Array => &mut self.array,
            Kind::Graph => &mut self.graph,
            Kind::Imported => &mut self.imported,
            Kind::Managed => &mut self.managed,
            Kind::Host => return None,
        })
    }
}

/// Memory that PyTorch's allocator has just been seen to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Growth {
    /// Where.
    pub device: Device,
    /// Who took it from the driver.
    pub site: Site,
    /// Bytes.
    pub bytes: u64,
}

/// What is kept of one device.
#[derive(Clone, Debug, Default)]
pub(super) struct Account {
    pub totals: Totals,
    pub sites: Sites,
}

/// The books of one process.
#[derive(Clone, Debug, Default)]
pub(super) struct Books {
    accounts: BTreeMap<Device, Account>,
    pub pinned: u64,
    pub grown: Vec<Growth>,
}

impl Books {
    pub fn accounts(&self) -> &BTreeMap<Device, Account> {
        &self.accounts
    }

    pub fn get(&self, device: Device) -> Option<&Account> {
        self.accounts.get(&device)
    }

    pub fn account(&mut self, device: Device) -> &mut Account {
        self.accounts.entry(device).or_default()
    }

    pub fn take(&mut self, unit: &Unit) {
        self.count(unit, unit.size, u64::saturating_add);
        if unit.standing == Standing::Direct {
            self.account(unit.device).sites.born(unit.site, unit.size);
        }
    }

    pub fn give_back(&mut self, unit: &Unit) {
        self.count(unit, unit.size, u64::saturating_sub);
        if unit.standing == Standing::Direct {
            self.account(unit.device).sites.died(unit.site, unit.size);
        }
    }

    fn count(&mut self, unit: &Unit, bytes: u64, step: fn(u64, u64) -> u64) {
        let totals = &mut self.accounts.entry(unit.device).or_default().totals;
        if unit.standing == Standing::Allocator {
            totals.allocator_reserved = step(totals.allocator_reserved, bytes);
        }
        let figure = totals.of(unit.kind()).unwrap_or(&mut self.pinned);
        *figure = step(*figure, bytes);
    }

    /// A unit's memory turned out to be somebody else's than was thought.
    pub fn restand(&mut self, unit: &mut Unit, standing: Standing) {
        if unit.standing == standing || unit.standing == Standing::Beside {
            return;
        }
        self.give_back(unit);
        unit.standing = standing;
        self.take(unit);
        if standing == Standing::Allocator {
            self.grown.push(Growth { device: unit.device, site: unit.site, bytes: unit.size });
        }
    }

    pub fn block_born(&mut self, device: Device, site: Site, bytes: u64, pool: bool) {
        let account = self.account(device);
        let figure = allocated(&mut account.totals, pool);
        *figure = figure.saturating_add(bytes);
        account.sites.born(site, bytes);
    }

    pub fn block_died(&mut self, device: Device, site: Site, bytes: u64, pool: bool) {
        let account = self.account(device);
        let figure = allocated(&mut account.totals, pool);
        *figure = figure.saturating_sub(bytes);
        account.sites.died(site, bytes);
    }

    pub fn resize_pool(&mut self, device: Device, before: u64, after: u64) {
        let totals = &mut self.account(device).totals;
        totals.pool = totals.pool.saturating_sub(before).saturating_add(after);
    }

    /// Forgets how the present came about.
    pub fn forget(&mut self) {
        self.grown.clear();
        self.accounts.values_mut().for_each(|account| account.sites.forget());
    }

    /// Carries over the past of `before`; what differs now changed at `time`.
    pub fn inherit(&mut self, before: &Self, time: u64) {
        self.grown.clear();
        for (device, account) in &before.accounts {
            self.account(*device).sites.inherit(&account.sites, time);
        }
    }

    /// The end of an event: takes note of peaks.
    pub fn settle(&mut self, time: u64) {
        self.accounts.values_mut().for_each(|account| account.sites.settle(time));
    }
}

fn allocated(totals: &mut Totals, pool: bool) -> &mut u64 {
    if pool { &mut totals.pool_allocated } else { &mut totals.allocated }
}
