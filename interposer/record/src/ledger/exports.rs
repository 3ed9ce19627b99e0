//! Memory that goes between processes, and the identity by which both sides know it.
//!
//! The live table keeps it in an entry of its own beside the entry of the memory, found by the same
//! address, and the class of that other entry as its link: what was exported or opened long ago is
//! still known when the ring has forgotten it. It ends with what it belongs to.

use core::sync::atomic::Ordering::Relaxed;

use hook::event::Event;
use wire::{
    live::{Entry, FLAG_RELEASED, State},
    record::{Class, Record, Verb},
};

use super::{Ledger, Now, private};

const fn is_identity_of(entry: &Entry, class: Class) -> bool {
    matches!(entry.class, Class::Identity) && entry.link == class as u16
}

/// Whether things of this class can have an identity.
const fn can_be_shared(class: Class) -> bool {
    matches!(
        class,
        Class::Linear
            | Class::Handle
            | Class::Pool
            | Class::PoolBlock
            | Class::IpcImport
            | Class::ImportedHandle
            | Class::ImportedBlock
    )
}

/// An identity as an entry's two stacks hold it.
const fn halves(identity: u64) -> (u32, u32) {
    (identity as u32, (identity >> 32) as u32)
}

impl Ledger<'_> {
    fn find_thing(&self, class: Class, address: u64) -> Option<Entry> {
        let wanted = |entry: &Entry| entry.class == class && entry.flags & FLAG_RELEASED == 0;
        self.live.table().find(address, State::Valid, wanted).map(|(_, entry)| entry)
    }

    /// The program handed something to other processes.
    pub(super) fn exported(&self, now: &Now, event: &Event) {
        self.called();
        let thing = self.find_thing(event.class, event.address);
        // A range that goes out as a DMA buffer shows a mapping, which has none.
        if let Some(thing) = thing.as_ref().filter(|thing| can_be_shared(thing.class)) {
            self.identify(now, thing, event.aux);
        }
        let ids = self.ids(now, true);
        self.ring.publish(&Record {
            size: thing.map_or(event.size, |thing| thing.size),
            aux: event.aux,
            device: thing.map_or(event.device, |thing| thing.device),
            flags: private(event),
            native: ids.native,
            python: ids.python,
            ..now.record(Verb::Export, event.class, event)
        });
    }

    /// Remembers the identity of something held, unless that is known.
    pub(super) fn identify(&self, now: &Now, thing: &Entry, identity: u64) {
        if self.has_identity(thing, identity) {
            return;
        }
        self.shares.store(true, Relaxed);
        let halves = halves(identity);
        self.insert(&Entry {
            class: Class::Identity,
            flags: 0,
            // Bytes are those of the thing.
            size: 0,
            native: halves.0,
            python: halves.1,
            birth_us: now.time() / 1000,
            link: thing.class as u16,
            ..*thing
        });
    }

    fn has_identity(&self, thing: &Entry, identity: u64) -> bool {
        let same = |entry: &Entry| {
            is_identity_of(entry, thing.class) && (entry.native, entry.python) == halves(identity)
        };
        self.live.table().find(thing.address, State::Valid, same).is_some()
    }

    /// Whether something held is what other processes know by this identity.
    pub(super) fn is_known_as(&self, thing: &Entry, identity: u64) -> bool {
        identity != 0 && self.has_identity(thing, identity)
    }

    /// Forgets the identities of something that has ended, unless it is open another time. To find
    /// nothing takes a microsecond in a table of many ended entries: not for programs that share none.
    pub(super) fn forget_identities(&self, gone: &Entry) {
        if !self.shares.load(Relaxed) || !can_be_shared(gone.class) {
            return;
        }
        if self.find_thing(gone.class, gone.address).is_some() {
            return;
        }
        let its = |entry: &Entry| is_identity_of(entry, gone.class);
        while let Some((index, _)) = self.live.table().find(gone.address, State::Valid, its) {
            if !self.live.end(index, State::Valid) {
                break;
            }
        }
    }
}
