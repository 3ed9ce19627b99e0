//! Physical memory that lives as long as somebody refers to it: the program through its handle, a
//! mapping, or a multicast object, logical endpoint or sparse array that it is bound to. A binding
//! counts as a mapping does. A multicast object is referred to in the same way, and takes what is
//! still bound to it along.
//!
//! ```text
//! cuMemCreate            references 1
//! cuMemMap               references 1  mappings 1
//! cuMemRelease           references 0  mappings 1    FLAG_RELEASED: the handle has no name now
//! cuMemUnmap             references 0  mappings 0    the memory is gone
//! ```

use core::sync::atomic::{Ordering::SeqCst, fence};

use hook::{
    event::{Event, NO_ENTRY},
    sparse,
};
use wire::{
    device::UNKNOWN,
    header::Counter,
    live::{Entry, FLAG_RELEASED, LINK_MAPPING, LINK_REFERENCE, State},
    record::{Class, Record, Verb},
};

use super::{Ledger, Now};

/// Offsets in a multicast object are multiples of its granularity, which is larger. The values of two
/// objects may be closer to each other than either is large, but hardly a multiple of this apart.
const GRAIN: u64 = 1 << 16;
/// Entry of a mapping's handle where that is not known.
const NO_HANDLE: u32 = u32::MAX;

const fn references(link: u16) -> u16 {
    link / LINK_REFERENCE
}

const fn is_handle(class: Class) -> bool {
    matches!(class, Class::Handle | Class::ImportedHandle | Class::Multicast)
}

const fn is_mapping(entry: &Entry) -> bool {
    matches!(entry.class, Class::Mapping)
}

/// Whether an entry of this class has the index of its handle's entry in place of a native stack.
pub(super) const fn points_at_handle(class: Class) -> bool {
    matches!(class, Class::Mapping | Class::Binding)
}

impl Ledger<'_> {
    /// The handle that has this value. Of one that another thread is just releasing it is not known yet
    /// whether that was the last reference.
    fn find_handle(&self, handle: u64) -> Option<(u32, Entry)> {
        let find = |state| {
            self.live.table().find(handle, state, |entry| {
                is_handle(entry.class) && entry.flags & FLAG_RELEASED == 0
            })
        };
        find(State::Valid).or_else(|| find(State::Freeing))
    }

    /// Counts a new mapping at its handle, and returns the handle's entry. What was imported shows
    /// its size only here.
    pub(super) fn mapped(&self, event: &Event) -> u32 {
        let Some((index, entry)) = self.find_handle(event.aux) else { return NO_HANDLE };
        self.live.table().link_add(index, LINK_MAPPING);
        let end = event.extra.saturating_add(event.size);
        if entry.class == Class::ImportedHandle && entry.size < end {
            self.live.table().resize(index, end);
        }
        index
    }

    /// Counts a new binding at its handle, and returns the handle's entry. Memory bound by an address
    /// is found where it is mapped.
    pub(super) fn bound(&self, event: &Event) -> u32 {
        let index = if event.aux == 0 {
            self.mapping_around(event.extra).map(|mapping| mapping.native)
        } else {
            self.find_handle(event.aux).map(|(index, _)| index)
        };
        let Some(index) = index else { return NO_HANDLE };
        self.live.table().link_add(index, LINK_MAPPING);
        index
    }

    /// The mapping that `address` lies in. Most often it is the first byte; for any other the whole table
    /// is looked through.
    fn mapping_around(&self, address: u64) -> Option<Entry> {
        self.mapping_at(address).or_else(|| {
            let around = |entry: &Entry| address.wrapping_sub(entry.address) < entry.size;
            self.valid().map(|(_, entry)| entry).find(|entry| is_mapping(entry) && around(entry))
        })
    }

    fn mapping_at(&self, address: u64) -> Option<Entry> {
        self.live.table().find(address, State::Valid, is_mapping).map(|(_, mapping)| mapping)
    }

    /// The bindings of `device` in a range of a multicast object or endpoint ended; of all devices where
    /// none is named, because the endpoint ended.
    pub(super) fn unbound(&self, now: &Now, event: &Event) {
        self.called();
        if event.device == UNKNOWN {
            self.end_bindings_in(now, event, (event.address, event.size), 1);
            return;
        }
        let end = event.address.saturating_add(event.size);
        let mut address = event.address;
        while address < end {
            let is_it =
                |entry: &Entry| entry.class == Class::Binding && entry.device == event.device;
            let Some((index, entry)) = self.live.table().find(address, State::Valid, is_it) else {
                break;
            };
            self.end_binding(now, event, index, &entry);
            // How much a region of an array shows may not be known.
            address = address.saturating_add(entry.size.max(1));
        }
    }

    fn end_binding(&self, now: &Now, event: &Event, index: u32, entry: &Entry) {
        if !self.live.end(index, State::Valid) {
            return;
        }
        self.ring.publish(&Record {
            address: entry.address,
            size: entry.size,
            aux: now.time().saturating_sub(entry.birth_us.saturating_mul(1000)),
            device: entry.device,
            python: entry.python,
            ..now.record(Verb::FreeBegin, Class::Binding, event)
        });
        if let Some(0) = self.live.table().link_sub(entry.native, LINK_MAPPING) {
            // Pairs with the fence in `released`.
            fence(SeqCst);
            self.end_handle(now, event, entry.native, State::Valid);
        }
    }

    /// One more reference by the program to the handle at the event's address, if it is held; also to
    /// one that it had released but kept mapped, which has its name again.
    pub(super) fn retained(&self, now: &Now, event: &Event) {
        let released =
            || self.live.table().find(event.address, State::Valid, |entry| is_handle(entry.class));
        let found = self.handle_mapped_at(event);
        let found = found.or_else(|| self.find_handle(event.address)).or_else(released);
        if let Some((index, entry)) = found {
            self.refer(now, event, index, &entry);
        }
    }

    /// The event's handle, found by the mapping that begins where it was asked for. By its value it could be
    /// taken for one that another thread just ended, where the driver gave that value out again.
    fn handle_mapped_at(&self, event: &Event) -> Option<(u32, Entry)> {
        let index = self.mapping_at(event.extra)?.native;
        let (_, entry) = self.live.table().get(index)?;
        (is_handle(entry.class) && entry.address == event.address).then_some((index, entry))
    }

    /// Whether what was imported is held here already, and so only has one more reference: a driver
    /// may answer with the handle it knows, to a process that opens what is its own, or the same
    /// again. One without a name is the same only if it is known to be, since another may have its
    /// value now.
    pub(super) fn reimported(&self, now: &Now, event: &Event) -> bool {
        let is_same = |entry: &Entry| {
            is_handle(entry.class)
                && (entry.flags & FLAG_RELEASED == 0 || self.is_known_as(entry, event.aux))
        };
        let found = self.live.table().find(event.address, State::Valid, is_same);
        if let Some((index, entry)) = &found {
            self.refer(now, event, *index, entry);
        }
        found.is_some()
    }

    fn refer(&self, now: &Now, event: &Event, index: u32, entry: &Entry) {
        self.live.table().link_add(index, LINK_REFERENCE);
        if entry.flags & FLAG_RELEASED != 0 {
            self.live.table().unflag(index, FLAG_RELEASED);
            self.has_name_again(now, event, entry);
        }
    }

    /// Whether giving this entry back once ends what it stands for.
    pub(super) fn ends_with_this(&self, entry: &Entry) -> bool {
        !is_handle(entry.class) || references(entry.link) <= 1
    }

    /// `cuMemRelease` returned.
    pub(super) fn released(&self, now: &Now, event: &Event) {
        if event.result != 0 {
            self.failed_to_free(now, event, event.entry);
            return;
        }
        let Some(link) = self.live.table().link_sub(event.entry, LINK_REFERENCE) else { return };
        if references(link) > 0 {
            self.keep(now, event);
            return;
        }
        let Some((state, entry)) = self.live.table().get(event.entry) else { return };
        if state == State::Valid {
            // Two releases at once: each began when there was a reference besides its own.
            self.begin_free(now, event, &entry);
        }
        if link == 0 {
            self.end_handle(now, event, event.entry, state);
        } else {
            // First the flag: as soon as the entry is valid it can be found.
            self.live.table().flag(event.entry, FLAG_RELEASED);
            self.live.table().shift(event.entry, State::Freeing, State::Valid);
            // The last mapping may have gone meanwhile, and could not end an entry that was not
            // valid. Pairs with the fence in `unmapped`: one of the two sees what the other did.
            fence(SeqCst);
            if self.live.table().get(event.entry).is_some_and(|(_, entry)| entry.link == 0) {
                self.end_handle(now, event, event.entry, State::Valid);
            }
        }
    }

    /// A release that seemed to be of the last reference was not: another thread took one meanwhile.
    fn keep(&self, now: &Now, event: &Event) {
        if let Some((State::Freeing, entry)) = self.live.table().get(event.entry)
            && self.live.table().shift(event.entry, State::Freeing, State::Valid)
        {
            self.has_name_again(now, event, &entry);
        }
    }

    fn has_name_again(&self, now: &Now, event: &Event, entry: &Entry) {
        let record = now.record(Verb::Retained, entry.class, event);
        self.ring.publish(&Record { size: entry.size, device: entry.device, ..record });
    }

    fn end_handle(&self, now: &Now, event: &Event, index: u32, from: State) {
        if let Some((_, entry)) = self.live.table().get(index)
            && self.live.end(index, from)
        {
            self.count_given(now, &entry);
            self.end_bindings_of(now, event, &entry);
        }
    }

    /// Ends what was bound to something that ended: to a multicast object, or to an array without memory
    /// of its own.
    pub(super) fn end_bindings_of(&self, now: &Now, event: &Event, ended: &Entry) {
        match ended.class {
            Class::Multicast => {
                self.end_bindings_in(now, event, (ended.address, ended.size), GRAIN);
            }
            Class::Array if ended.size == 0 => {
                self.end_bindings_in(now, event, (sparse::room(ended.address), sparse::ROOM), 1);
            }
            _ => {}
        }
    }

    /// Something ended, and with it what was bound to it, at multiples of `grain`, on any device. That is
    /// rare enough to look through the whole table.
    fn end_bindings_in(&self, now: &Now, event: &Event, (start, size): (u64, u64), grain: u64) {
        let end = start.saturating_add(size);
        for (index, entry) in self.valid() {
            let is_inside = (start..end).contains(&entry.address)
                && entry.address.wrapping_sub(start).is_multiple_of(grain);
            if entry.class == Class::Binding && is_inside {
                self.end_binding(now, event, index, &entry);
            }
        }
    }

    /// Calls `see` for each mapping in `state` from the event's address on, without a gap, up to
    /// its size; returns how many there were.
    fn each_mapping(&self, event: &Event, state: State, mut see: impl FnMut(u32, &Entry)) -> usize {
        let end = event.address.saturating_add(event.size);
        let mut address = event.address;
        let mut seen = 0_usize;
        while address < end {
            let is_mapping = |entry: &Entry| entry.class == Class::Mapping && entry.size > 0;
            let Some((index, entry)) = self.live.table().find(address, state, is_mapping) else {
                break;
            };
            see(index, &entry);
            seen = seen.saturating_add(1);
            address = address.saturating_add(entry.size);
        }
        seen
    }

    /// `cuMemUnmap` is about to be called. It may take several mappings away.
    pub(super) fn unmapping(&self, now: &Now, event: &mut Event) {
        event.class = Class::Mapping;
        let mut first = NO_ENTRY;
        let seen = self.each_mapping(event, State::Valid, |index, entry| {
            if self.live.table().shift(index, State::Valid, State::Freeing) {
                self.begin_free(now, event, entry);
            }
            if first == NO_ENTRY {
                first = index;
            }
        });
        event.entry = first;
        if seen == 0 {
            self.counters.count(Counter::UnknownFree);
        }
    }

    /// `cuMemUnmap` returned.
    pub(super) fn unmapped(&self, now: &Now, event: &Event) {
        self.each_mapping(event, State::Freeing, |index, entry| {
            if event.result != 0 {
                self.failed_to_free(now, event, index);
            } else if self.live.end(index, State::Freeing)
                && let Some(0) = self.live.table().link_sub(entry.native, LINK_MAPPING)
            {
                // Pairs with the fence in `released`.
                fence(SeqCst);
                self.end_handle(now, event, entry.native, State::Valid);
            }
        });
    }
}
