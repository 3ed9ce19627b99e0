//! What events and live sets say of memory that goes between processes.

use std::{
    cell::OnceCell,
    collections::{HashMap, HashSet},
};

use wire::{
    live::Entry,
    record::{Class, Record},
};

use super::{
    Share, Site, State,
    apply::{birth, bytes, site_of},
    share::{Shares, Thing, is_import},
    vmm::{HandleId, Vmm},
};
use crate::ledger::Live;

impl State {
    /// What the process handed to others and what it opened of theirs: all that it does now, the last
    /// ones that are over, and of what it opened before how often it did.
    pub fn shares(&self) -> impl Iterator<Item = Share> {
        self.shares.iter().map(|share| {
            let grown = if share.is_held() { grown(&self.vmm, share) } else { 0 };
            let mut share = share.clone();
            share.size = share.size.max(grown);
            share
        })
    }

    /// The shares as they are to be carried over to another state.
    pub(super) fn take_shares(&mut self) -> Shares {
        self.shares.measure(|share| grown(&self.vmm, share));
        std::mem::take(&mut self.shares)
    }

    /// Tells whose blocks lie in what was handed out.
    #[must_use]
    pub fn lenders(&self) -> Lenders<'_> {
        Lenders { state: self, mapped: OnceCell::new() }
    }

    /// Something was handed out. Of what is not there any more a live set knew that already.
    pub(super) fn export(&mut self, record: &Record) {
        if let Some(thing) = self.thing_at(record.class, record.address) {
            self.shares.export(Share::exported(thing, record.aux, birth(record.time)));
        }
    }

    /// Something was opened. Returns whether it was open here already.
    pub(super) fn import(&mut self, record: &Record) -> bool {
        let thing = Thing {
            class: record.class,
            address: record.address,
            device: record.device,
            size: bytes(record.size),
            site: site_of(record),
            birth: birth(record.time),
        };
        self.shares.import(Share::imported(thing, record.aux))
    }

    fn thing_at(&self, class: Class, address: u64) -> Option<Thing> {
        let thing = |device, size, site, birth| Thing { class, address, device, size, site, birth };
        match class {
            Class::Linear => {
                let span = self.spans.at(address).filter(|span| span.start == address)?;
                let unit = &span.value;
                Some(thing(unit.device, unit.size, unit.site, unit.birth))
            }
            Class::Handle => {
                let (_, handle) = self.vmm.by_name(address)?;
                let unit = &handle.unit;
                Some(thing(unit.device, unit.size, unit.site, unit.birth))
            }
            Class::Pool => {
                let pool = self.pools.pools().get(&address)?;
                Some(thing(pool.device, pool.reserve, pool.site, pool.birth))
            }
            Class::PoolBlock => {
                let span = self.pools.blocks().at(address).filter(|span| span.start == address)?;
                let block = &span.value;
                Some(thing(block.device, span.size, block.site, block.birth))
            }
            _ => None,
        }
    }

    /// What a live set says is shared, once all that it says is held is in its place.
    pub(super) fn shares_of(&mut self, live: &[Live]) {
        let mut identities: HashMap<(u16, u64), Vec<&Entry>> = HashMap::new();
        for Live { entry, .. } in live.iter().filter(|one| one.entry.class == Class::Identity) {
            identities.entry((entry.link, entry.address)).or_default().push(entry);
        }
        let identity = |entry: &Entry| u64::from(entry.native) | u64::from(entry.python) << 32;
        let mut shares = Shares::default();
        let mut seen = HashSet::new();
        for Live { entry, .. } in live {
            // A damaged set may have the same thing many times, and it many names.
            if !seen.insert((entry.class as u16, entry.address, entry.birth_us)) {
                continue;
            }
            let known = identities.get(&(entry.class as u16, entry.address));
            // Older than what it seems to belong to: of what had the same address before.
            let known = known.into_iter().flatten().filter(|one| one.birth_us >= entry.birth_us);
            if is_import(entry.class) {
                let mine = identities.get(&(entry.class as u16, entry.address));
                let name = mine.and_then(|all| all.first()).map_or(0, |one| identity(one));
                shares.import(Share::imported(thing_of(entry), name));
                continue;
            }
            let Some(thing) = self.thing_of(entry) else { continue };
            for one in known {
                let time = one.birth_us.saturating_mul(1000);
                shares.export(Share::exported(thing, identity(one), time));
            }
        }
        self.shares = shares;
    }

    /// What an entry is of those that can be handed out, if it is in its place. A handle that was
    /// released and that a mapping keeps has no name, and other processes may have it open.
    fn thing_of(&self, entry: &Entry) -> Option<Thing> {
        let thing = thing_of(entry);
        match entry.class {
            Class::Handle => self.vmm.born(entry.address, thing.birth).map(|_| thing),
            class => self.thing_at(class, entry.address),
        }
    }
}

/// Whose blocks lie in what a process handed out. It may be as many handles as a card has room for.
#[derive(Debug)]
pub struct Lenders<'a> {
    state: &'a State,
    /// Where handles are mapped, once that was asked for.
    mapped: OnceCell<HashMap<HandleId, Vec<(u64, u64)>>>,
}

impl Lenders<'_> {
    /// The site with most bytes of blocks in `share`, and its own where there are none.
    #[must_use]
    pub fn of(&self, share: &Share) -> Site {
        let whole = [(share.address, share.size)];
        let ranges = match share.class {
            Class::Linear => &whole[..],
            Class::Handle => self.mapped(share),
            _ => &[],
        };
        let mut lent: HashMap<Site, u64> = HashMap::new();
        for (start, size) in ranges {
            for block in self.state.blocks.over(*start, *size) {
                *lent.entry(block.value.site).or_default() += block.size;
            }
        }
        let most = lent.into_iter().max_by_key(|(site, bytes)| (*bytes, *site));
        most.map_or(share.site, |(site, _)| site)
    }

    fn mapped(&self, share: &Share) -> &[(u64, u64)] {
        let Some((id, _)) = self.state.vmm.born(share.address, share.birth) else { return &[] };
        let mapped = self.mapped.get_or_init(|| {
            let mut mapped: HashMap<HandleId, Vec<(u64, u64)>> = HashMap::new();
            for span in self.state.vmm.mappings().iter() {
                mapped.entry(span.value.handle).or_default().push((span.start, span.size));
            }
            mapped
        });
        mapped.get(&id).map_or(&[], Vec::as_slice)
    }
}

/// What is known by now of the size of something that is held: what was imported as a handle shows it only
/// when it is mapped.
fn grown(vmm: &Vmm, share: &Share) -> u64 {
    let handle = vmm.born(share.address, share.birth).map(|(_, handle)| handle.unit);
    handle.filter(|unit| unit.class == share.class).map_or(0, |unit| unit.size)
}

fn thing_of(entry: &Entry) -> Thing {
    Thing {
        class: entry.class,
        address: entry.address,
        device: entry.device,
        size: bytes(entry.size),
        site: Site { native: entry.native, python: entry.python },
        birth: entry.birth_us.saturating_mul(1000),
    }
}
