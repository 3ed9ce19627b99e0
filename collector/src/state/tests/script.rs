//! Events for tests, in few words.

use wire::{
    live::{Entry, LINK_REFERENCE},
    record::{Class, FLAG_PRIVATE, Record, Verb},
};

use crate::{
    ledger::{Event, Live},
    state::State,
};

pub(super) const MIB: u64 = 1 << 20;
/// Time between two events of a script, ns: long enough that nothing stays fresh for long.
pub(super) const STEP: u64 = 2_000_000_000;

/// A list of events, each `STEP` after the one before.
#[derive(Default)]
pub(super) struct Script {
    pub events: Vec<Event>,
    /// Thread of the next events.
    pub tid: u32,
    /// Python stack of the next events.
    pub python: u32,
    /// Native stack of the next events.
    pub native: u32,
    /// Device of the next events.
    pub device: u8,
    /// Whether a capture is under way.
    pub private: bool,
    /// When the live entry a free ends was born: `(class, address)`, ns.
    births: std::collections::HashMap<(Class, u64), u64>,
}

impl Script {
    pub fn push(&mut self, verb: Verb, class: Class, address: u64, size: u64, aux: u64) -> Event {
        let position = self.events.len() as u64;
        let time = (position + 1) * STEP;
        let aux = match verb {
            Verb::FreeBegin => time - self.births.get(&(class, address)).copied().unwrap_or(time),
            _ => aux,
        };
        if verb == Verb::Alloc {
            self.births.insert((class, address), time);
        }
        let record = Record {
            time,
            address,
            size,
            aux,
            verb,
            class,
            api: 0,
            device: self.device,
            result: 0,
            tid: self.tid,
            flags: if self.private { FLAG_PRIVATE } else { 0 },
            native: self.native,
            python: self.python,
        };
        let event = Event { position, record, extra: None };
        self.events.push(event);
        event
    }

    pub fn take(&mut self, class: Class, address: u64, size: u64) -> &mut Self {
        self.push(Verb::Alloc, class, address, size, 0);
        self
    }

    pub fn give(&mut self, class: Class, address: u64, size: u64) -> &mut Self {
        self.push(Verb::FreeBegin, class, address, size, 0);
        self
    }

    pub fn map(&mut self, address: u64, size: u64, handle: u64) -> &mut Self {
        self.push(Verb::Alloc, Class::Mapping, address, size, handle);
        self
    }

    pub fn pool_block(&mut self, address: u64, size: u64, pool: u64) -> &mut Self {
        self.push(Verb::Alloc, Class::PoolBlock, address, size, pool);
        self
    }

    pub fn reading(&mut self, pool: u64, reserve: u64) -> &mut Self {
        self.push(Verb::Reading, Class::Pool, pool, reserve, 0);
        self
    }

    pub fn failed(&mut self, class: Class, address: u64, size: u64) -> &mut Self {
        self.push(Verb::FreeFailed, class, address, size, 0);
        self
    }

    /// The live table after all of it. No handle is released while it is mapped, and no free fails.
    pub fn live(&self) -> Vec<Live> {
        let mut held: Vec<&Record> = Vec::new();
        for Event { record, .. } in &self.events {
            match record.verb {
                Verb::Alloc => held.push(record),
                Verb::FreeBegin => {
                    held.retain(|one| (one.class, one.address) != (record.class, record.address))
                }
                _ => {}
            }
        }
        let handle = |name: u64| {
            held.iter().position(|one| (one.class, one.address) == (Class::Handle, name))
        };
        let entry = |record: &Record| Entry {
            address: record.address,
            class: record.class,
            device: record.device,
            flags: record.flags & FLAG_PRIVATE,
            size: record.size,
            native: match record.class {
                Class::Mapping => handle(record.aux).map_or(u32::MAX, |index| index as u32),
                _ => record.native,
            },
            python: record.python,
            birth_us: record.time / 1000,
            link: LINK_REFERENCE,
        };
        let indexed = held.iter().enumerate();
        indexed
            .map(|(n, one)| Live { index: n as u32, freeing: false, entry: entry(one) })
            .collect()
    }

    /// The state after all of it.
    pub fn state(&self) -> State {
        let mut state = State::default();
        self.events.iter().for_each(|event| state.apply(event));
        state
    }
}
