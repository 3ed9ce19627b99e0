//! Physical memory that lives as long as somebody refers to it: the program through its handle, or
//! a mapping.
//!
//! ```text
//! cuMemCreate            references 1
//! cuMemMap               references 1  mappings 1
//! cuMemRelease           references 0  mappings 1    FLAG_RELEASED: the handle has no name now
//! cuMemUnmap             references 0  mappings 0    the memory is gone
//! ```

use core::sync::atomic::{Ordering::SeqCst, fence};

use hook::event::{Event, NO_ENTRY};
use wire::{
    header::Counter,
    live::{Entry, FLAG_RELEASED, LINK_MAPPING, LINK_REFERENCE, State},
    record::Class,
};

use super::{Ledger, Now};

/// Entry of a mapping's handle where that is not known.
const NO_HANDLE: u32 = u32::MAX;

const fn references(link: u16) -> u16 {
    link / LINK_REFERENCE
}

const fn is_handle(class: Class) -> bool {
    matches!(class, Class::Handle | Class::ImportedHandle)
}

impl Ledger<'_> {
    fn find_handle(&self, handle: u64) -> Option<(u32, Entry)> {
        self.live.table().find(handle, State::Valid, |entry| {
            is_handle(entry.class) && entry.flags & FLAG_RELEASED == 0
        })
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

    /// One more reference by the program, perhaps to what it had released but kept mapped.
    pub(super) fn retained(&self, event: &Event) {
        let released =
            || self.live.table().find(event.address, State::Valid, |entry| is_handle(entry.class));
        let Some((index, _)) = self.find_handle(event.address).or_else(released) else { return };
        self.live.table().link_add(index, LINK_REFERENCE);
        self.live.table().unflag(index, FLAG_RELEASED);
    }

    /// Whether giving this entry back once ends what it stands for.
    pub(super) fn ends_with_this(&self, entry: &Entry) -> bool {
        !is_handle(entry.class) || references(entry.link) <= 1
    }

    /// `cuMemRelease` returned.
    pub(super) fn released(&self, now: Now, event: &Event) {
        if event.result != 0 {
            self.failed_to_free(now, event, event.entry);
            return;
        }
        let Some(link) = self.live.table().link_sub(event.entry, LINK_REFERENCE) else { return };
        if references(link) > 0 {
            return;
        }
        let Some((state, entry)) = self.live.table().get(event.entry) else { return };
        if state == State::Valid {
            // Two releases at once: each began when there was a reference besides its own.
            self.begin_free(now, event, &entry);
        }
        if link == 0 {
            self.end_handle(now, event.entry, state);
        } else {
            // First the flag: as soon as the entry is valid it can be found.
            self.live.table().flag(event.entry, FLAG_RELEASED);
            self.live.table().shift(event.entry, State::Freeing, State::Valid);
            // The last mapping may have gone meanwhile, and could not end an entry that was not
            // valid. Pairs with the fence in `unmapped`: one of the two sees what the other did.
            fence(SeqCst);
            if self.live.table().get(event.entry).is_some_and(|(_, entry)| entry.link == 0) {
                self.end_handle(now, event.entry, State::Valid);
            }
        }
    }

    fn end_handle(&self, now: Now, index: u32, from: State) {
        if let Some((_, entry)) = self.live.table().get(index)
            && self.live.end(index, from)
        {
            self.count_given(now, &entry);
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
    pub(super) fn unmapping(&self, now: Now, event: &mut Event) {
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
    pub(super) fn unmapped(&self, now: Now, event: &Event) {
        self.each_mapping(event, State::Freeing, |index, entry| {
            if event.result != 0 {
                self.failed_to_free(now, event, index);
            } else if self.live.end(index, State::Freeing)
                && let Some(0) = self.live.table().link_sub(entry.native, LINK_MAPPING)
            {
                // Pairs with the fence in `released`.
                fence(SeqCst);
                self.end_handle(now, entry.native, State::Valid);
            }
        });
    }
}
