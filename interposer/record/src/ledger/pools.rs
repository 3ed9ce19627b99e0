//! Stream-ordered pools: a reserve that the driver grows and shrinks by itself, known only from
//! readings, and allocations in it.

use core::sync::atomic::Ordering::Relaxed;
use hook::event::{Event, KNOWN_POOL};
use wire::{
    live::{Entry, FLAG_RELEASED, State},
    record::{Class, NO_STACK, Record, Verb},
};

use super::{Ids, Ledger, Now, private};

/// The pool of an allocation.
#[derive(Clone, Copy)]
pub(super) struct Pool {
    /// Its number.
    pub(super) ordinal: u16,
    /// The device it lies on.
    pub(super) device: u8,
    /// Whether it was not known before.
    pub(super) is_new: bool,
}

impl Ledger<'_> {
    /// A pool that was destroyed has no name, even if its reserve is still there.
    fn find_pool(&self, class: Class, address: u64) -> Option<(u32, Entry)> {
        self.live.table().find(address, State::Valid, |entry| {
            entry.class == class && entry.flags & FLAG_RELEASED == 0
        })
    }

    /// The pool `event.aux` of an allocation. Most pools are never made by a call that is seen:
    /// every device has one from the beginning.
    pub(super) fn pool_of_block(&self, now: &Now, event: &Event) -> Pool {
        if let Some((_, entry)) = self.find_pool(Class::Pool, event.aux) {
            return Pool { ordinal: entry.link, device: entry.device, is_new: false };
        }
        let ids = self.ids(now, true);
        let entry = self.pool_entry(now, Class::Pool, event.aux, event, ids);
        self.insert_pool(&entry);
        let ordinal = self.find_pool(Class::Pool, event.aux).map_or(0, |(_, entry)| entry.link);
        Pool { ordinal, device: event.device, is_new: true }
    }

    fn pool_entry(&self, now: &Now, class: Class, pool: u64, event: &Event, ids: Ids) -> Entry {
        Entry {
            address: pool,
            class,
            device: event.device,
            flags: private(event),
            size: 0,
            native: ids.native,
            python: ids.python,
            birth_us: now.time() / 1000,
            link: 0,
        }
    }

    /// Adds a pool under the next number, unless another thread just did.
    pub(super) fn insert_pool(&self, entry: &Entry) -> bool {
        let ordinal = self.pools.fetch_add(1, Relaxed).wrapping_add(1);
        let entry = Entry { link: u16::try_from(ordinal).unwrap_or(0), ..*entry };
        let Some(index) = self.live.insert(&entry) else { return self.insert(&entry) };
        if self.find_pool(entry.class, entry.address).is_some_and(|(first, _)| first != index) {
            self.live.end(index, State::Valid);
        }
        true
    }

    /// With a device's primary context all that lay in its pools is gone, and so is what they held. What a
    /// driver keeps all the same is read once more.
    pub(super) fn empty_pools(&self, device: u8) {
        let is_its = |entry: &Entry| entry.class == Class::Pool && entry.device == device;
        for (index, _) in self.valid().filter(|(_, entry)| is_its(entry)) {
            if let Some(before) = self.live.table().resize(index, 0) {
                self.gauges.release(device, before);
            }
        }
    }

    /// What the driver says a pool holds.
    pub(super) fn pool_reading(&self, now: &Now, event: &Event) {
        let class = if event.class == Class::Graph { Class::Graph } else { Class::Pool };
        // A driver may still tell of one that was destroyed.
        let destroyed = || {
            let is_it = |entry: &Entry| entry.class == class;
            self.live.table().find(event.address, State::Valid, is_it)
        };
        let known = self.find_pool(class, event.address).or_else(destroyed);
        // What another process's pool holds is in that one's books. Not asked of a pool that is known:
        // to find nothing takes long, and one that a process opened of its own is its own.
        if known.is_none() && self.find_pool(Class::ImportedPool, event.address).is_some() {
            return;
        }
        if known.is_none() && event.extra == KNOWN_POOL {
            return;
        }
        // The pool's own device, which need not be the current one.
        let device = known.map_or(event.device, |(_, entry)| entry.device);
        let before = known.map_or(0, |(_, entry)| entry.size);
        if known.is_some() && before == event.size {
            return;
        }
        // Whose graph makes the reserve grow takes it, not who only looked while there was none: all
        // graphs of a device share it, and nobody makes it.
        if known.is_none() && class == Class::Graph && event.size == 0 {
            return;
        }
        let ids = if known.is_none() || event.size > before {
            self.ids(now, true)
        } else {
            Ids { native: NO_STACK, python: NO_STACK }
        };
        let index = match known {
            Some((index, _)) => Some(index),
            None => {
                self.insert_pool(&self.pool_entry(now, class, event.address, event, ids));
                self.find_pool(class, event.address).map(|(index, _)| index)
            }
        };
        // The difference to what stood there, not to what was read above: two threads may bring
        // readings at the same time, and the steps must add up.
        let before = index.and_then(|index| self.live.table().resize(index, event.size));
        let step = event.size.wrapping_sub(before.unwrap_or(event.size));
        self.gauges.reserve(device, step, now.time());
        self.ring.publish(&Record {
            aux: event.aux,
            device,
            flags: private(event),
            native: ids.native,
            python: ids.python,
            ..now.record(Verb::Reading, class, event)
        });
    }
}
