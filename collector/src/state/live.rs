//! The state as a live set says it is.

use std::collections::HashMap;

use wire::{
    live::{Entry, FLAG_PRIVATE, FLAG_RELEASED, LINK_REFERENCE},
    record::Class,
};

use super::{
    Lent, Site, State,
    apply::{bytes, without_memory},
    pool::{Pool, PoolBlock},
    unit::{Standing, Unit},
    vmm::{Binding, HandleId, Mapping},
};
use crate::ledger::{Event, Live};

/// Memory that is a range of addresses by itself.
const ADDRESSED: &[Class] =
    &[Class::Linear, Class::Managed, Class::IpcImport, Class::ImportedBlock];

impl State {
    /// The state of a process that holds `live`, and of whose past nothing is known.
    #[must_use]
    pub fn from_live(live: &[Live]) -> Self {
        let mut state = Self::default();
        let of = |classes: &'static [Class]| {
            live.iter().filter(move |one| classes.contains(&one.entry.class))
        };
        for Live { entry, .. } in of(ADDRESSED) {
            state.span(entry.address, unit_of(entry), 0);
        }
        for Live { entry, .. } in of(&[Class::Array, Class::Graph, Class::Host, Class::External]) {
            state.thing(entry.address, unit_of(entry));
        }
        for Live { entry, .. } in of(&[Class::Reservation]) {
            state.vmm.reserve(entry.address, entry.size, birth(entry));
        }
        let mut handles: HashMap<u32, HandleId> = HashMap::new();
        let objects = &[Class::Handle, Class::ImportedHandle, Class::Multicast];
        for Live { index, entry, .. } in of(objects) {
            let named = entry.link >= LINK_REFERENCE;
            let unit = unit_of(entry);
            let unit = if entry.class == Class::Multicast { without_memory(unit) } else { unit };
            let id = state.vmm.create(entry.address, unit, named, &mut state.books);
            handles.insert(*index, id);
        }
        for Live { entry, .. } in of(&[Class::Mapping]) {
            let (start, size) = (entry.address, bytes(entry.size));
            let id = handles.get(&entry.native).copied().unwrap_or_else(|| {
                // Nobody knows what is mapped there (a multicast object, say): it counts no bytes.
                let unit = Unit { class: Class::Handle, site: Site::default(), ..unit_of(entry) };
                let unit = Unit { size: 0, standing: Standing::Direct, ..unit };
                state.vmm.create(0, unit, false, &mut state.books)
            });
            let mapping = Mapping { handle: id, birth: birth(entry) };
            state.vmm.map_handle(start, size, mapping, &mut state.books);
        }
        for Live { entry, .. } in of(&[Class::Binding]) {
            if let Some(id) = handles.get(&entry.native) {
                let place = (entry.device, entry.address);
                let (size, birth) = (bytes(entry.size), birth(entry));
                state.vmm.bind_handle(
                    place,
                    Binding { handle: *id, size, birth },
                    &mut state.books,
                );
            }
        }
        state.vmm.drop_unkept(&mut state.books);
        state.pools_of(live);
        for Live { entry, .. } in of(&[Class::Block]) {
            let block = Lent { device: entry.device, site: site_of(entry), birth: birth(entry) };
            state.promote(entry.address, bytes(entry.size));
            state.lend(entry.address, bytes(entry.size), block);
        }
        state.shares_of(live);
        state.settle_all();
        state
    }

    fn pools_of(&mut self, live: &[Live]) {
        let pools = live.iter().filter(|one| one.entry.class == Class::Pool);
        let by_ordinal: HashMap<u16, u64> =
            pools.clone().map(|one| (one.entry.link, one.entry.address)).collect();
        for Live { entry, .. } in pools {
            let pool = Pool {
                device: entry.device,
                site: site_of(entry),
                birth: birth(entry),
                reserve: bytes(entry.size),
                destroyed: entry.flags & FLAG_RELEASED != 0,
            };
            self.pools.create(entry.address, pool, &mut self.books);
        }
        for Live { entry, .. } in live.iter().filter(|one| one.entry.class == Class::PoolBlock) {
            let block = PoolBlock {
                pool: by_ordinal.get(&entry.link).copied(),
                device: entry.device,
                site: site_of(entry),
                birth: birth(entry),
            };
            self.pools.take(entry.address, bytes(entry.size), block, &mut self.books);
        }
    }

    /// Whatever no block lies in now is direct.
    fn settle_all(&mut self) {
        self.fresh.clear();
        for span in self.spans.values_mut().filter(|span| span.value.is_fresh()) {
            self.books.restand(&mut span.value, Standing::Direct);
        }
        self.vmm.settle_all(&mut self.books);
        self.books.forget();
    }

    /// Replaces what is held by what the live table says is held. What was learned before (peaks,
    /// and in what memory PyTorch's blocks lay) stays.
    pub fn resync(&mut self, live: &[Live]) {
        self.become_as(Self::from_live(live));
    }

    /// The same for the moment before `events`, after which `live` was held: what comes after a
    /// gap can then be applied as it happened.
    pub fn resync_before(&mut self, live: &[Live], events: &[Event]) {
        self.become_as(Self::at_start(live, events));
    }

    fn become_as(&mut self, mut new: Self) {
        new.learn(std::mem::take(&mut self.allocator_stacks));
        for old in self.spans.iter().filter(|old| old.value.standing == Standing::Allocator) {
            if let Some(unit) = new.spans.get_mut(old.start)
                && unit.birth == old.value.birth
            {
                new.books.restand(unit, Standing::Allocator);
            }
        }
        new.vmm.inherit(&self.vmm, &mut new.books);
        new.books.inherit(&self.books, self.now);
        new.shares.inherit(self.take_shares(), self.now);
        new.now = self.now;
        *self = new;
    }
}

fn birth(entry: &Entry) -> u64 {
    entry.birth_us.saturating_mul(1000)
}

fn site_of(entry: &Entry) -> Site {
    Site { native: entry.native, python: entry.python }
}

fn unit_of(entry: &Entry) -> Unit {
    Unit {
        class: entry.class,
        device: entry.device,
        size: bytes(entry.size),
        site: site_of(entry),
        birth: birth(entry),
        private: entry.flags & FLAG_PRIVATE != 0,
        context: 0,
        standing: Standing::at_first(entry.class),
    }
}
