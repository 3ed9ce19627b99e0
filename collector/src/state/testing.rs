//! Events for tests, in few words.

use wire::record::{Class, FLAG_PRIVATE, Record, Verb};

use crate::ledger::Event;

pub(crate) const MIB: u64 = 1 << 20;
/// Time between two events of a script, ns: long enough that nothing stays fresh for long.
pub(crate) const STEP: u64 = 2_000_000_000;

/// A list of events, each `STEP` after the one before.
#[derive(Default)]
pub(crate) struct Script {
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

    /// The state after all of it.
    pub fn state(&self) -> super::State {
        let mut state = super::State::default();
        self.events.iter().for_each(|event| state.apply(event));
        state
    }
}
