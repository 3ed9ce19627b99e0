//! Something is given back: announced before the real call, settled after it.
//!
//! Both halves go through the entry that the first one found. A second look-up would be wrong:
//! once the driver has freed an address, another thread may own it.

use hook::{
    abi::{HOST_MEMORY_NOT_REGISTERED, INVALID_HANDLE, INVALID_VALUE},
    event::{Event, NO_ENTRY},
};
use wire::{
    device::TORCH_RESERVED_PEAK,
    header::Counter,
    live::{Entry, FLAG_RELEASED, State},
    record::{Class, Record, Verb},
};

use super::{Ledger, Now, gauges::is_reserved};

/// Whether a free that was refused with `result` named something that was not there. Any other refusal
/// says nothing of what was named: after an error of a kernel, or at the process's end, all calls fail.
const fn knows_no_such_thing(result: i32) -> bool {
    matches!(result, INVALID_VALUE | INVALID_HANDLE | HOST_MEMORY_NOT_REGISTERED)
}

const fn bit(class: Class) -> u32 {
    1_u32.wrapping_shl(class as u32)
}

impl Ledger<'_> {
    /// The real call is about to be made.
    pub(super) fn giving_back(&self, now: &Now, event: &mut Event) {
        self.called();
        event.entry = NO_ENTRY;
        if event.classes & bit(Class::Mapping) != 0 {
            self.unmapping(now, event);
            return;
        }
        let wanted = |entry: &Entry| {
            event.classes & bit(entry.class) != 0
                && entry.flags & FLAG_RELEASED == 0
                && !self.is_ending(entry)
        };
        let Some((index, entry)) = self.live.table().find(event.address, State::Valid, wanted)
        else {
            self.counters.count(Counter::UnknownFree);
            return;
        };
        event.entry = index;
        event.class = entry.class;
        event.size = entry.size;
        event.device = entry.device;
        if !self.ends_with_this(&entry) {
            return;
        }
        if self.live.table().shift(index, State::Valid, State::Freeing) {
            self.begin_free(now, event, &entry);
        } else {
            // Somebody else gives the same thing back at this moment; it is theirs.
            event.entry = NO_ENTRY;
            self.counters.count(Counter::UnknownFree);
        }
    }

    /// The real call returned.
    pub(super) fn gave_back(&self, now: &Now, event: &mut Event) {
        if event.entry == NO_ENTRY {
            if knows_no_such_thing(event.result) {
                self.counters.count(Counter::RefusedFree);
            }
            return;
        }
        match event.class {
            Class::Mapping => self.unmapped(now, event),
            Class::Handle | Class::ImportedHandle | Class::Multicast => self.released(now, event),
            _ => self.settle(now, event),
        }
    }

    /// A call that returned ended something, if it was there.
    pub(super) fn ended(&self, now: &Now, event: &mut Event) {
        if event.classes & bit(Class::Binding) != 0 {
            self.unbound(now, event);
            return;
        }
        self.called();
        let wanted = |entry: &Entry| event.classes & bit(entry.class) != 0;
        if let Some((index, entry)) = self.live.table().find(event.address, State::Valid, wanted) {
            event.class = entry.class;
            self.begin_free(now, event, &entry);
            if self.live.end(index, State::Valid) {
                self.count_given(now, &entry);
            }
        }
    }

    fn settle(&self, now: &Now, event: &Event) {
        if event.result != 0 {
            self.failed_to_free(now, event, event.entry);
            return;
        }
        let Some((_, entry)) = self.live.table().get(event.entry) else { return };
        if entry.class == Class::Pool && self.leaves(now, event.entry, &entry) {
            return;
        }
        if self.live.end(event.entry, State::Freeing) {
            self.count_given(now, &entry);
            self.end_bindings_of(now, event, &entry);
        }
    }

    /// The entry is held as before.
    pub(super) fn failed_to_free(&self, now: &Now, event: &Event, index: u32) {
        let Some((_, entry)) = self.live.table().get(index) else { return };
        if self.live.table().shift(index, State::Freeing, State::Valid) {
            self.ring.publish(&Record {
                address: entry.address,
                size: entry.size,
                result: u16::try_from(event.result).unwrap_or(u16::MAX),
                ..now.record(Verb::FreeFailed, entry.class, event)
            });
        }
    }

    /// Takes what ended from the gauges, and forgets what other processes called it.
    pub(super) fn count_given(&self, now: &Now, entry: &Entry) {
        self.forget_identities(entry);
        if is_reserved(entry.class) {
            self.gauges.release(entry.device, entry.size);
        } else if entry.class == Class::PoolBlock {
            self.pool_allocated(now, entry.device, entry.size.wrapping_neg());
            self.block_ended(now, entry);
        }
    }

    /// PyTorch's allocator took a block back.
    pub(super) fn block_back(&self, now: &Now, event: &mut Event) {
        let is_block = |entry: &Entry| entry.class == Class::Block;
        match self.live.table().find(event.address, State::Valid, is_block) {
            Some((index, entry)) => {
                event.entry = index;
                self.begin_free(now, event, &entry);
                self.live.end(index, State::Valid);
            }
            None => self.unlisted_block_back(event),
        }
        self.gauges.allocated(event.device, event.aux, now.time());
        self.gauges.torch_reserved(event.device, event.extra);
    }

    /// A block that is not in the table is one that found no room there, if there are such.
    fn unlisted_block_back(&self, event: &Event) {
        let taken = self.counters.take_if_any(Counter::LiveOverflow, 1);
        if !(taken && self.counters.take_if_any(Counter::UnlistedBytes, event.size)) {
            self.counters.count(Counter::UnknownFree);
        }
    }

    /// Adds to the bytes in stream-ordered allocations. Where PyTorch's own allocator reports
    /// blocks, those are what is called allocated; elsewhere these are.
    pub(super) fn pool_allocated(&self, now: &Now, device: u8, step: u64) {
        let bytes = self.gauges.add(device, wire::device::POOL_ALLOCATED, step);
        if self.gauges.get(device, TORCH_RESERVED_PEAK) == 0 {
            self.gauges.allocated(device, bytes, now.time());
        }
    }
}
