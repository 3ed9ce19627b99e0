//! Something was taken, or could not be.

use hook::event::Event;
use wire::{
    header::Counter,
    live::{Entry, LINK_REFERENCE},
    record::{Class, FLAG_SECOND, FLAG_UNLISTED, Record, Verb},
};

use super::{
    Ids, Ledger, Now, gauges::is_reserved, holdings::is_piece, private, sweep::is_of_a_context,
};

/// Whether the slot of what was taken names the context too.
const fn has_context_as_aux(class: Class) -> bool {
    matches!(class, Class::Linear | Class::Managed | Class::Array)
}

impl Ledger<'_> {
    /// Enters what a successful call took into the live table; of a failed call only the timeline
    /// tells.
    pub(super) fn took(&self, now: &Now, event: &Event) {
        let is_piece = is_piece(event.class);
        if !is_piece {
            self.called();
        }
        if event.class == Class::ImportedHandle && event.result == 0 && self.reimported(now, event)
        {
            return;
        }
        let pool = (event.class == Class::PoolBlock && event.result == 0)
            .then(|| self.pool_of_block(now, event));
        let first_of_pool = pool.is_some_and(|pool| pool.is_new);
        // A pool may give to streams of other devices than its own, which is the one that has less.
        let device = pool.map_or(event.device, |pool| pool.device);
        let event = &Event { device, ..*event };
        let ids = self.ids(now, !is_piece || first_of_pool);
        if event.result != 0 {
            self.slot(now, Verb::Failed, event, ids, 0);
            return;
        }
        let entry = Entry {
            address: event.address,
            class: event.class,
            device: event.device,
            flags: private(event),
            size: event.size,
            native: ids.native,
            python: ids.python,
            birth_us: now.time() / 1000,
            link: 0,
        };
        let listed = match event.class {
            class if is_of_a_context(class) => {
                let context = if has_context_as_aux(class) { event.aux } else { event.extra };
                self.insert(&Entry { link: self.contexts.number(context), ..entry })
            }
            Class::Handle | Class::ImportedHandle | Class::Multicast => {
                self.insert(&Entry { link: LINK_REFERENCE, ..entry })
            }
            Class::Mapping => {
                let native = self.mapped(event);
                self.insert(&Entry { native, ..entry })
            }
            Class::Binding => {
                let native = self.bound(event);
                self.insert(&Entry { native, ..entry })
            }
            Class::PoolBlock => {
                self.insert(&Entry { link: pool.map_or(0, |pool| pool.ordinal), ..entry })
            }
            Class::Pool => self.insert_pool(&entry),
            _ => self.insert(&entry),
        };
        let import =
            matches!(event.class, Class::IpcImport | Class::ImportedHandle | Class::ImportedBlock);
        if import && event.aux != 0 {
            self.identify(now, &entry, event.aux);
        }
        self.count_taken(now, event);
        self.slot(now, Verb::Alloc, event, ids, if listed { 0 } else { FLAG_UNLISTED });
    }

    /// Adds an entry; `false`, and counted with its bytes, if there is no room.
    pub(super) fn insert(&self, entry: &Entry) -> bool {
        let listed = self.live.insert(entry).is_some();
        if !listed {
            self.counters.count(Counter::LiveOverflow);
            self.counters.add(Counter::UnlistedBytes as usize, entry.size);
        }
        listed
    }

    fn count_taken(&self, now: &Now, event: &Event) {
        match event.class {
            class if is_reserved(class) => {
                self.gauges.reserve(event.device, event.size, now.time())
            }
            Class::PoolBlock => self.pool_allocated(now, event.device, event.size),
            Class::Block => {
                self.gauges.allocated(event.device, event.aux, now.time());
                self.gauges.torch_reserved(event.device, event.extra);
            }
            _ => {}
        }
    }

    fn slot(&self, now: &Now, verb: Verb, event: &Event, ids: Ids, flags: u8) {
        let has_extra = matches!(event.class, Class::Mapping | Class::Binding);
        let extra = if has_extra { event.extra } else { 0 };
        let address =
            if verb == Verb::Failed && event.class != Class::Mapping { 0 } else { event.address };
        let record = Record {
            address,
            aux: event.aux,
            result: u16::try_from(event.result).unwrap_or(u16::MAX),
            flags: flags | private(event),
            native: ids.native,
            python: ids.python,
            ..now.record(verb, event.class, event)
        };
        if extra == 0 {
            self.ring.publish(&record);
        } else {
            let record = Record { flags: record.flags | FLAG_SECOND, ..record };
            self.ring.publish_pair(&record, &Record::second(now.time(), [extra, 0, 0]));
        }
    }
}
