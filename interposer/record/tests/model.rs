//! The ledger against a naive model, over random calls of a driver that makes sense.

mod support;

use std::collections::BTreeMap;

use hook::event::{Event, NO_ENTRY, Op};
use support::{File, subject::Subject};
use wire::{
    device::{self, UNKNOWN},
    header::Counter,
    layout::SMALL,
    live::{FLAG_PRIVATE, FLAG_RELEASED, LINK_MAPPING, LINK_REFERENCE, State},
    mix,
    record::{Class, Verb},
};

/// Something held, by what identifies it.
type Key = (Class, u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Held {
    device: u8,
    size: u64,
    flags: u8,
    link: u16,
}

/// What the ledger should say, kept as simply as can be.
#[derive(Default)]
struct Model {
    held: BTreeMap<Key, Held>,
    handle_of: BTreeMap<u64, u64>,
    reserved: [u64; 2],
    peak: [u64; 2],
    pool_bytes: [u64; 2],
    /// By number, from 1 on; 0 where a number is free.
    contexts: Vec<u64>,
    pools: u16,
    slots: Vec<(Verb, Class, u64, u64)>,
    /// `aux` of the slots of things taken, in order.
    aux: Vec<u64>,
    unknown: u64,
}

impl Model {
    fn reserve(&mut self, device: u8, from: u64, to: u64) {
        let sum = &mut self.reserved[device as usize];
        *sum = *sum + to - from;
        self.peak[device as usize] = self.peak[device as usize].max(*sum);
    }

    fn find(&self, context: u64) -> Option<usize> {
        self.contexts.iter().position(|known| *known == context)
    }

    fn number(&mut self, context: u64) -> u16 {
        let place = self.find(context).or_else(|| self.find(0)).unwrap_or_else(|| {
            self.contexts.push(0);
            self.contexts.len() - 1
        });
        self.contexts[place] = context;
        place as u16 + 1
    }

    fn end(&mut self, key: Key) {
        let held = self.held.remove(&key).unwrap();
        match key.0 {
            Class::Linear | Class::Array | Class::Handle | Class::Pool => {
                self.reserve(held.device, held.size, 0);
            }
            Class::PoolBlock => {
                self.pool_bytes[held.device as usize] -= held.size;
                self.end_if_empty(held.link);
            }
            _ => {}
        }
    }

    fn has_blocks(&self, pool: u16) -> bool {
        let blocks = self.held.iter().filter(|((class, _), _)| *class == Class::PoolBlock);
        blocks.into_iter().any(|(_, block)| block.link == pool)
    }

    /// Ends a pool that was destroyed, if nothing lies in it any more.
    fn end_if_empty(&mut self, pool: u16) {
        let is_it = |key: &Key, held: &Held| {
            key.0 == Class::Pool && held.link == pool && held.flags == FLAG_RELEASED
        };
        let found = self.held.iter().find(|(key, held)| is_it(key, held)).map(|(key, _)| *key);
        if let Some(key) = found.filter(|_| !self.has_blocks(pool)) {
            self.end(key);
        }
    }
}

/// Random calls, seeded.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0) % limit
    }
}

const PAGE: u64 = 1 << 21;

fn address(class: Class, index: u64) -> u64 {
    ((class as u64) << 40) + index * PAGE
}

struct Run {
    subject: Subject,
    model: Model,
    random: Random,
}

impl Run {
    fn class(&mut self) -> Class {
        let all = [Class::Linear, Class::Managed, Class::Host, Class::Array, Class::IpcImport];
        all[self.random.below(all.len() as u64) as usize]
    }

    fn fails(&mut self) -> i32 {
        if self.random.below(8) == 0 { 2 } else { 0 }
    }

    /// A simple thing is taken.
    fn take(&mut self) {
        let (class, index) = (self.class(), self.random.below(40));
        let (key, device) = ((class, address(class, index)), self.random.below(2) as u8);
        if self.model.held.contains_key(&key) {
            return;
        }
        let (size, result) = (1 + self.random.below(1 << 30), self.fails());
        let (aux, private) = (1 + self.random.below(3), self.random.below(4) == 0);
        let given = if result == 0 { key.1 } else { 0 };
        let event = Subject::event(Op::Took, class);
        let mut event = Event { device, result, address: given, size, aux, private, ..event };
        self.subject.send(&mut event);
        if result != 0 {
            self.model.slots.push((Verb::Failed, class, 0, size));
            return;
        }
        let has_context = matches!(class, Class::Linear | Class::Managed | Class::Array);
        let link = if has_context { self.model.number(aux) } else { 0 };
        let flags = if private { FLAG_PRIVATE } else { 0 };
        self.model.held.insert(key, Held { device, size, flags, link });
        if matches!(class, Class::Linear | Class::Array) {
            self.model.reserve(device, 0, size);
        }
        self.model.slots.push((Verb::Alloc, class, key.1, size));
        self.model.aux.push(aux);
    }

    /// Something is given back that may not be there.
    fn give(&mut self) {
        let (class, index, result) = (self.class(), self.random.below(40), self.fails());
        self.give_key((class, address(class, index)), result);
    }

    fn give_key(&mut self, key: Key, result: i32) {
        let held = self.model.held.get(&key).copied();
        let event = self.subject.give(key.0, key.1, 0, result);
        let Some(held) = held else {
            assert_eq!(event.entry, NO_ENTRY);
            self.model.unknown += 1;
            return;
        };
        assert_eq!((event.class, event.size, event.device), (key.0, held.size, held.device));
        self.model.slots.push((Verb::FreeBegin, key.0, key.1, held.size));
        if result != 0 {
            self.model.slots.push((Verb::FreeFailed, key.0, key.1, held.size));
        } else if key.0 == Class::Pool && self.model.has_blocks(held.link) {
            self.model.held.get_mut(&key).unwrap().flags = FLAG_RELEASED;
        } else {
            self.model.end(key);
        }
    }

    fn handle(&mut self) {
        let key = (Class::Handle, address(Class::Handle, self.random.below(8)));
        let held = self.model.held.get(&key).copied();
        match (held, self.random.below(4)) {
            (None, 0) => {
                let (device, size) =
                    (self.random.below(2) as u8, PAGE * (1 + self.random.below(4)));
                let event = Subject::event(Op::Took, key.0);
                self.subject.send(&mut Event { device, address: key.1, size, ..event });
                self.model.held.insert(key, Held { device, size, flags: 0, link: LINK_REFERENCE });
                self.model.reserve(device, 0, size);
                self.model.slots.push((Verb::Alloc, key.0, key.1, size));
                self.model.aux.push(0);
            }
            (Some(held), 1) if held.link / LINK_REFERENCE < 4 => {
                let event = Subject::event(Op::Retained, key.0);
                self.subject.send(&mut Event { address: key.1, ..event });
                let held = self.model.held.get_mut(&key).unwrap();
                held.link += LINK_REFERENCE;
                if held.flags == FLAG_RELEASED {
                    self.model.slots.push((Verb::Retained, key.0, key.1, held.size));
                }
                held.flags = 0;
            }
            (Some(held), 2) if held.flags & FLAG_RELEASED == 0 => self.release(key, held),
            (Some(held), 3) if held.flags & FLAG_RELEASED == 0 => self.map(key, held),
            _ => {}
        }
    }

    fn release(&mut self, key: Key, held: Held) {
        let result = self.fails();
        self.subject.give(key.0, key.1, 0, result);
        let last = held.link / LINK_REFERENCE == 1;
        if last {
            self.model.slots.push((Verb::FreeBegin, key.0, key.1, held.size));
        }
        if result != 0 {
            if last {
                self.model.slots.push((Verb::FreeFailed, key.0, key.1, held.size));
            }
            return;
        }
        let entry = self.model.held.get_mut(&key).unwrap();
        entry.link -= LINK_REFERENCE;
        if entry.link == 0 {
            self.model.end(key);
        } else if last {
            entry.flags = FLAG_RELEASED;
        }
    }

    /// Maps a whole handle at a free place of four pages.
    fn map(&mut self, key: Key, held: Held) {
        let at = address(Class::Mapping, 4 * self.random.below(8));
        let taken = |model: &Model| {
            let range = (Class::Mapping, at)..(Class::Mapping, at + 4 * PAGE);
            model.held.range(range).next().is_some()
        };
        if taken(&self.model) {
            return;
        }
        // In pieces of a page, so that one call may take several mappings away.
        for page in 0..held.size / PAGE {
            let (address, extra) = (at + page * PAGE, page * PAGE);
            let event = Subject::event(Op::Took, Class::Mapping);
            let device = held.device;
            let event = Event { device, address, size: PAGE, aux: key.1, extra, ..event };
            self.subject.send(&mut { event });
            let mapping = Held { device, size: PAGE, flags: 0, link: 0 };
            self.model.held.insert((Class::Mapping, address), mapping);
            self.model.handle_of.insert(address, key.1);
            self.model.held.get_mut(&key).unwrap().link += LINK_MAPPING;
            self.model.slots.push((Verb::Alloc, Class::Mapping, address, PAGE));
            self.model.aux.push(key.1);
        }
    }

    fn unmap(&mut self) {
        let at = address(Class::Mapping, self.random.below(32));
        let (size, result) = (PAGE * (1 + self.random.below(8)), self.fails());
        let mut pages = vec![];
        while self.model.held.contains_key(&(Class::Mapping, at + pages.len() as u64 * PAGE))
            && (pages.len() as u64) < size / PAGE
        {
            pages.push(at + pages.len() as u64 * PAGE);
        }
        self.subject.give(Class::Mapping, at, size, result);
        self.model.unknown += u64::from(pages.is_empty());
        for verb in [Verb::FreeBegin, Verb::FreeFailed] {
            if verb == Verb::FreeBegin || result != 0 {
                let slots = pages.iter().map(|page| (verb, Class::Mapping, *page, PAGE));
                self.model.slots.extend(slots);
            }
        }
        for page in pages.into_iter().filter(|_| result == 0) {
            self.model.held.remove(&(Class::Mapping, page));
            let key = (Class::Handle, self.model.handle_of.remove(&page).unwrap());
            let handle = self.model.held.get_mut(&key).unwrap();
            handle.link -= LINK_MAPPING;
            if handle.link == 0 {
                self.model.end(key);
            }
        }
    }

    fn pool(&mut self) {
        let pool = self.random.below(3);
        let (key, device) = ((Class::Pool, address(Class::Pool, pool)), (pool % 2) as u8);
        let block = (Class::PoolBlock, address(Class::PoolBlock, self.random.below(20)));
        let size = 1 + self.random.below(1 << 20);
        let new = Held { device, size: 0, flags: 0, link: self.model.pools + 1 };
        let known = self.model.held.get(&key).copied();
        let is_destroyed = known.is_some_and(|pool| pool.flags == FLAG_RELEASED);
        match self.random.below(4) {
            // It has no name until the last of its blocks has gone.
            0 | 2 | 3 if is_destroyed => {}
            0 if !self.model.held.contains_key(&block) => {
                let event = Subject::event(Op::Took, Class::PoolBlock);
                // A pool may serve streams of other devices, once it is known.
                let current = if known.is_some() { 1 - device } else { device };
                let event = Event { device: current, address: block.1, size, aux: key.1, ..event };
                self.subject.send(&mut { event });
                let link = self.model.held.entry(key).or_insert(new).link;
                self.model.pools = self.model.pools.max(link);
                self.model.held.insert(block, Held { device, size, flags: 0, link });
                self.model.pool_bytes[device as usize] += size;
                self.model.slots.push((Verb::Alloc, Class::PoolBlock, block.1, size));
                self.model.aux.push(key.1);
            }
            1 => {
                let result = self.fails();
                self.give_key(block, result);
            }
            2 => {
                let event = Subject::event(Op::PoolReading, Class::Pool);
                // The current device is another than the pool's.
                let event = Event { device: 1 - device, address: key.1, size, aux: 5, ..event };
                let Some(before) = self.model.held.get(&key).map(|pool| pool.size) else { return };
                self.subject.send(&mut { event });
                self.subject.send(&mut { event });
                self.model.held.get_mut(&key).unwrap().size = size;
                self.model.reserve(device, before, size);
                if size != before {
                    self.model.slots.push((Verb::Reading, Class::Pool, key.1, size));
                }
            }
            3 if self.random.below(10) == 0 => {
                let result = self.fails();
                self.give_key(key, result);
            }
            _ => {}
        }
    }

    fn reset(&mut self) {
        if self.random.below(60) != 0 {
            return;
        }
        let by_context = self.random.below(2) == 0;
        let device = if by_context { UNKNOWN } else { self.random.below(2) as u8 };
        let aux = if by_context { 1 + self.random.below(3) } else { 0 };
        let number = self.model.find(aux).map(|place| place as u16 + 1).unwrap_or_default();
        self.subject.send(&mut Event { device, aux, ..Subject::event(Op::Reset, Class::None) });
        let ends = |(class, _): &Key, held: &Held| {
            let linear = matches!(class, Class::Linear | Class::Managed | Class::Array);
            let more = matches!(class, Class::Host | Class::IpcImport | Class::PoolBlock);
            if by_context {
                linear && held.link == number
            } else {
                (linear || more) && held.device == device
            }
        };
        let all = self.model.held.iter().filter(|(key, held)| ends(key, held));
        for key in all.map(|(key, _)| *key).collect::<Vec<_>>() {
            self.model.end(key);
        }
        if number > 0 {
            self.model.contexts[usize::from(number) - 1] = 0;
        }
        let is_its =
            |key: &Key, held: &Held| !by_context && key.0 == Class::Pool && held.device == device;
        let pools = self.model.held.iter().filter(|(key, held)| is_its(key, held));
        for (key, pool) in pools.map(|(key, pool)| (*key, *pool)).collect::<Vec<_>>() {
            self.model.reserve(device, pool.size, 0);
            self.model.held.get_mut(&key).unwrap().size = 0;
        }
        self.model.slots.push((Verb::Reset, Class::None, 0, 0));
    }

    fn compare(&self, file: &File) {
        let live = file.live();
        let mut found = BTreeMap::new();
        for (_, state, entry) in &live {
            assert_eq!(*state, State::Valid);
            let Held { device, size, flags, link } = Held {
                device: entry.device,
                size: entry.size,
                flags: entry.flags,
                link: entry.link,
            };
            let key = (entry.class, entry.address);
            assert_eq!(
                found.insert(key, Held { device, size, flags, link }),
                None,
                "{key:x?} twice"
            );
            if entry.class == Class::Mapping {
                let (_, _, handle) = live.iter().find(|(at, ..)| *at == entry.native).unwrap();
                assert_eq!(handle.address, self.model.handle_of[&entry.address]);
            }
        }
        // What was opened has an identity, which ends with it.
        let mut held = self.model.held.clone();
        for ((_, address), import) in
            self.model.held.iter().filter(|((class, _), _)| *class == Class::IpcImport)
        {
            let link = Class::IpcImport as u16;
            let identity = Held { device: import.device, size: 0, flags: 0, link };
            held.insert((Class::Identity, *address), identity);
        }
        assert_eq!(found, held);
        for gpu in 0..2 {
            let at = gpu as usize;
            assert_eq!(file.gauge(gpu, device::RESERVED), self.model.reserved[at]);
            assert_eq!(file.gauge(gpu, device::RESERVED_PEAK), self.model.peak[at]);
            assert_eq!(file.gauge(gpu, device::POOL_ALLOCATED), self.model.pool_bytes[at]);
            assert_eq!(file.gauge(gpu, device::ALLOCATED), self.model.pool_bytes[at]);
        }
        assert_eq!(file.counter(Counter::UnknownFree), self.model.unknown);
    }
}

#[test]
fn random_calls_leave_what_a_naive_model_holds() {
    for seed in 0..12 {
        let (subject, model) = (Subject::new(SMALL), Model::default());
        let mut run = Run { subject, model, random: Random(seed) };
        for step in 1..=1500 {
            match run.random.below(7) {
                0 => run.take(),
                1 => run.give(),
                2 | 3 => run.handle(),
                4 => run.unmap(),
                5 => run.pool(),
                _ => run.reset(),
            }
            if step % 100 == 0 {
                run.compare(&run.subject.file());
            }
        }
        let file = run.subject.file();
        let records = file.records();
        let seconds = records.iter().filter(|record| record.verb == Verb::Second).count();
        assert!(seconds > 0, "some mappings have an offset");
        let slots: Vec<_> = records
            .iter()
            .filter(|record| record.verb != Verb::Second)
            .map(|record| (record.verb, record.class, record.address, record.size))
            .collect();
        assert_eq!(slots, run.model.slots, "seed {seed}");
        let taken = records.iter().filter(|record| record.verb == Verb::Alloc);
        assert_eq!(taken.map(|record| record.aux).collect::<Vec<_>>(), run.model.aux);
    }
}
