//! What was held when a ring's oldest record was written.
//!
//! A ring forgets its oldest records, the live table nothing that is still held. Together they say
//! what was held at the start of the ring: what is live now and older than that, and what was freed
//! since then and is older than that (a free's record repeats size, stacks and age of what it ends).

use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
};

use wire::{
    live::{Entry, FLAG_PRIVATE, FLAG_RELEASED, LINK_REFERENCE},
    record::{Class, Record, Verb},
};

use super::{State, apply::bytes};
use crate::ledger::{Event, Live};

/// Index of the first entry made up here: beyond every index of a live table.
const MADE_UP: u32 = 1 << 31;

/// Births as a free's record and as the live table tell them may differ by rounding, us.
const ROUNDING: u64 = 2;

impl State {
    /// What was held when the oldest of `events` happened, given what is held after the last.
    /// Applying the events leads from the one to the other.
    #[must_use]
    pub fn at_start(live: &[Live], events: &[Event]) -> Self {
        let Some(first) = events.first() else { return Self::from_live(live) };
        let start = first.record.time / 1000;
        let older = |class: Class, address: u64, birth_us: u64| {
            birth_us < start || birth_us == start && !born_at_start(events, class, address)
        };
        let older_entry = |entry: &Entry| older(entry.class, entry.address, entry.birth_us);
        let mut then: Vec<Live> =
            live.iter().filter(|one| older_entry(&one.entry)).copied().collect();
        let mut known: HashMap<(Class, u64), Vec<usize>> = HashMap::new();
        for (at, one) in then.iter().enumerate() {
            known.entry((one.entry.class, one.entry.address)).or_default().push(at);
        }
        let failed = failed_frees(events);
        let mut index = MADE_UP;
        for (at, event) in events.iter().enumerate() {
            let record = &event.record;
            let birth_us = record.time.saturating_sub(record.aux) / 1000;
            if record.verb != Verb::FreeBegin || failed.contains(&at) {
                continue;
            }
            if !older(record.class, record.address, birth_us) {
                continue;
            }
            let is_it = |entry: &Entry| entry.birth_us.abs_diff(birth_us) <= ROUNDING;
            let entries = known.get(&(record.class, record.address));
            let found = entries.and_then(|at| at.iter().find(|at| is_it(&then[**at].entry)));
            let Some(found) = found else {
                known.entry((record.class, record.address)).or_default().push(then.len());
                then.push(Live { index, freeing: false, entry: entry_of(record, birth_us) });
                index += 1;
                continue;
            };
            let entry = &mut then[*found].entry;
            // It had its name before.
            entry.flags &= !FLAG_RELEASED;
            if is_handle(entry.class) {
                // Only a reference went: others were left, or mappings.
                entry.link = entry.link.saturating_add(LINK_REFERENCE);
            }
        }
        find_pools(&mut then, events);
        find_handles(&mut then);
        let mut state = Self::from_live(&then);
        state.look_ahead(events);
        state
    }

    /// Memory in which a block comes to lie later belongs to PyTorch's allocator from the start: a
    /// cache that is empty at the moment has no block to say so, and would seem to grow as it is
    /// filled.
    fn look_ahead(&mut self, events: &[Event]) {
        let mut gone: HashSet<(Class, u64)> = HashSet::new();
        for Event { record, .. } in events {
            let of = (record.class, record.address);
            match (record.verb, record.class) {
                (Verb::FreeBegin, Class::Linear | Class::Reservation) => {
                    gone.insert(of);
                }
                (Verb::FreeFailed, _) => {
                    gone.remove(&of);
                }
                (Verb::Alloc, Class::Block) => {
                    let span = self.spans.at(record.address);
                    let around = self.vmm.reservations().at(record.address);
                    let span = span.map(|span| (Class::Linear, span.start));
                    let home = span.or(around.map(|around| (Class::Reservation, around.start)));
                    if home.is_some_and(|home| !gone.contains(&home)) {
                        self.promote(record.address, bytes(record.size));
                    }
                }
                _ => {}
            }
        }
        self.books.forget();
    }
}

/// Whether one of the events of the first microsecond took this: births are known no finer.
fn born_at_start(events: &[Event], class: Class, address: u64) -> bool {
    let start = events.first().map_or(0, |first| first.record.time / 1000);
    let first = events.iter().map(|event| &event.record);
    first
        .take_while(|record| record.time / 1000 <= start)
        .any(|record| (record.verb, record.class, record.address) == (Verb::Alloc, class, address))
}

/// The frees among `events` whose real call failed.
fn failed_frees(events: &[Event]) -> HashSet<usize> {
    let mut begun: HashMap<(Class, u64), usize> = HashMap::new();
    let mut failed = HashSet::new();
    for (at, event) in events.iter().enumerate() {
        let key = (event.record.class, event.record.address);
        match event.record.verb {
            Verb::FreeBegin => {
                begun.insert(key, at);
            }
            Verb::FreeFailed => failed.extend(begun.remove(&key)),
            _ => {}
        }
    }
    failed
}

const fn is_handle(class: Class) -> bool {
    matches!(class, Class::Handle | Class::ImportedHandle | Class::Multicast)
}

/// What a free ended. A binding's does not say what was bound: it counts nothing.
fn entry_of(record: &Record, birth_us: u64) -> Entry {
    Entry {
        address: record.address,
        class: record.class,
        device: record.device,
        flags: record.flags & FLAG_PRIVATE,
        size: record.size,
        native: if record.class == Class::Binding { u32::MAX } else { record.native },
        python: record.python,
        birth_us,
        link: if is_handle(record.class) { LINK_REFERENCE } else { 0 },
    }
}

/// A pool, and a device for graphs, held what its first reading among the events says, as nearly as can be known; and a freed
/// block lay in the only pool of its device, where there is only one.
fn find_pools(then: &mut [Live], events: &[Event]) {
    let mut readings: HashMap<(Class, u64), u64> = HashMap::new();
    for Event { record, .. } in events.iter().filter(|event| event.record.verb == Verb::Reading) {
        readings.entry((record.class, record.address)).or_insert(record.size);
    }
    for Live { entry, .. } in then.iter_mut().filter(|one| one.entry.class == Class::Graph) {
        let first = readings.get(&(Class::Graph, entry.address));
        entry.size = first.copied().unwrap_or(entry.size);
    }
    let mut ordinals: HashMap<u8, Vec<u16>> = HashMap::new();
    for Live { entry, .. } in then.iter_mut().filter(|one| one.entry.class == Class::Pool) {
        ordinals.entry(entry.device).or_default().push(entry.link);
        if let Some(reserve) = readings.get(&(Class::Pool, entry.address)) {
            entry.size = *reserve;
        }
    }
    let freed = |one: &&mut Live| one.index >= MADE_UP && one.entry.class == Class::PoolBlock;
    for Live { entry, .. } in then.iter_mut().filter(freed) {
        entry.link = match ordinals.get(&entry.device).map(Vec::as_slice) {
            Some([only]) => *only,
            _ => u16::MAX,
        };
    }
}

/// A free's record does not say which handle a mapping was of. It is paired with a handle of its
/// size that has no other mapping: first with those that were freed as well. A mapping for which
/// there is none (its handle was released before the ring begins) counts no bytes.
fn find_handles(then: &mut [Live]) {
    let mapped: HashSet<u32> = then
        .iter()
        .filter(|one| one.entry.class == Class::Mapping && one.index < MADE_UP)
        .map(|one| one.entry.native)
        .collect();
    let mut free: HashMap<(u64, u8), Vec<u32>> = HashMap::new();
    for one in then.iter() {
        let handle = matches!(one.entry.class, Class::Handle | Class::ImportedHandle);
        if handle && !mapped.contains(&one.index) {
            free.entry((one.entry.size, one.entry.device)).or_default().push(one.index);
        }
    }
    for indices in free.values_mut() {
        // Taken from the end: those that were freed, in the order they were.
        indices.sort_unstable_by_key(|index| (*index >= MADE_UP, Reverse(*index)));
    }
    for one in then.iter_mut() {
        if one.entry.class == Class::Mapping && one.index >= MADE_UP {
            let handle = free.get_mut(&(one.entry.size, one.entry.device)).and_then(Vec::pop);
            one.entry.native = handle.unwrap_or(u32::MAX);
        }
    }
}
