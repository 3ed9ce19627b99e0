//! A naive model of a process: plain lists of what it holds, and the events it would write.
//!
//! Programs are random, but possible: what the driver and PyTorch would refuse, the model refuses
//! to write down.

use std::collections::BTreeMap;

use proptest::prelude::*;
use wire::{
    live::{Entry, FLAG_RELEASED, LINK_REFERENCE},
    record::{Class, Verb},
};

use super::script::{MIB, Script};
use crate::{
    ledger::Live,
    state::{Site, Use},
};

/// Units of address space: linear memory below `RESERVABLE`, reservations above.
pub(super) const UNITS: u64 = 96;
pub(super) const RESERVABLE: u64 = 40;
/// Devices of the model.
pub(super) const DEVICES: u8 = 2;

#[derive(Clone, Copy, Debug)]
pub(super) enum Op {
    Malloc {
        at: u64,
        size: u64,
        managed: bool,
    },
    Reserve {
        at: u64,
        size: u64,
    },
    Create {
        size: u64,
        imported: bool,
    },
    Map {
        handle: usize,
        at: u64,
    },
    Lend {
        at: u64,
        size: u64,
    },
    /// Gives back the n-th of all that is held; the real call may fail.
    Give {
        which: usize,
        fails: bool,
    },
    /// Gives back the n-th block.
    Return {
        which: usize,
    },
}

pub(super) fn op() -> impl Strategy<Value = Op> {
    let at = 0..UNITS;
    prop_oneof![
        (at.clone(), 1..8u64, prop::bool::weighted(0.1))
            .prop_map(|(at, size, managed)| Op::Malloc { at, size, managed }),
        (at.clone(), 4..24u64).prop_map(|(at, size)| Op::Reserve { at, size }),
        (1..4u64, prop::bool::weighted(0.1))
            .prop_map(|(size, imported)| Op::Create { size, imported }),
        (any::<usize>(), at.clone()).prop_map(|(handle, at)| Op::Map { handle, at }),
        (any::<usize>(), at.clone()).prop_map(|(handle, at)| Op::Map { handle, at }),
        (at.clone(), 1..6u64).prop_map(|(at, size)| Op::Lend { at, size }),
        (at, 1..6u64).prop_map(|(at, size)| Op::Lend { at, size }),
        (any::<usize>(), prop::bool::weighted(0.2))
            .prop_map(|(which, fails)| Op::Give { which, fails }),
        any::<usize>().prop_map(|which| Op::Return { which }),
    ]
}

/// Something the model holds.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) class: Class,
    pub(super) device: u8,
    pub(super) at: u64,
    pub(super) size: u64,
    pub(super) site: Site,
    /// Time of the event.
    pub(super) birth: u64,
    pub(super) private: bool,
    /// A block ever lay in it. For a handle: in something it is mapped to.
    pub(super) marked: bool,
    /// Of a handle: the program's reference is there.
    pub(super) named: bool,
    /// Of a mapping: birth of its handle.
    pub(super) handle: u64,
}

#[derive(Default)]
pub(super) struct Model {
    pub(super) held: Vec<Held>,
    pub(super) script: Script,
    /// What may have been the peak of device 0: who had how much live, as far as one could tell.
    pub(super) candidates: Vec<BTreeMap<Site, Use>>,
}

impl Model {
    pub(super) fn of(&self, class: Class) -> impl Iterator<Item = &Held> {
        self.held.iter().filter(move |one| one.class == class)
    }

    pub(super) fn covers(&self, classes: &[Class], at: u64, size: u64) -> Option<usize> {
        self.held.iter().position(|one| {
            classes.contains(&one.class) && one.at < at + size && at < one.at + one.size
        })
    }

    /// Writes an event down and returns its time.
    fn write(&mut self, verb: Verb, one: &Held, aux: u64) -> u64 {
        self.script.device = one.device;
        self.script.private = one.private;
        (self.script.native, self.script.python) = (one.site.native, one.site.python);
        let unit = if matches!(one.class, Class::Handle | Class::ImportedHandle) { 1 } else { MIB };
        self.script.push(verb, one.class, one.at * unit, one.size * MIB, aux).record.time
    }

    fn take(&mut self, class: Class, device: u8, at: u64, size: u64, aux: u64) {
        let n = self.script.events.len();
        let site = Site { native: n as u32 % 5, python: n as u32 % 3 };
        let (private, birth, handle) = (n.is_multiple_of(4), 0, 0);
        let held = Held {
            class,
            device,
            at,
            size,
            site,
            birth,
            private,
            marked: false,
            named: true,
            handle,
        };
        let birth = self.write(Verb::Alloc, &held, aux);
        self.held.push(Held { birth, ..held });
    }

    fn run(&mut self, op: Op, device: u8) -> bool {
        match op {
            Op::Malloc { at, size, managed } => {
                let class = if managed { Class::Managed } else { Class::Linear };
                if at + size > RESERVABLE
                    || self.covers(&[Class::Linear, Class::Managed], at, size).is_some()
                {
                    return false;
                }
                self.take(class, device, at, size, 0);
                self.adopt();
            }
            Op::Reserve { at, size } => {
                let taken = self.covers(&[Class::Reservation, Class::Mapping], at, size);
                if at < RESERVABLE || at + size > UNITS || taken.is_some() {
                    return false;
                }
                self.take(Class::Reservation, device, at, size, 0);
                self.adopt();
            }
            Op::Create { size, imported } => {
                let class = if imported { Class::ImportedHandle } else { Class::Handle };
                let used = |name: &u64| {
                    let mut handles = self.of(Class::Handle).chain(self.of(Class::ImportedHandle));
                    handles.any(|one| one.named && one.at == *name)
                };
                // The lowest value without an owner, so that values are used again soon.
                let Some(name) = (1..).find(|name| !used(name)) else { return false };
                self.take(class, device, name, size, 0);
            }
            Op::Map { handle, at } => return self.map(handle, at),
            Op::Lend { at, size } => return self.lend(device, at, size),
            Op::Give { which, fails } => return self.give(which, fails),
            Op::Return { which } => {
                let blocks: Vec<usize> = (0..self.held.len())
                    .filter(|at| self.held[*at].class == Class::Block)
                    .collect();
                let Some(at) = blocks.get(which % blocks.len().max(1)) else { return false };
                let block = self.held.remove(*at);
                self.write(Verb::FreeBegin, &block, 0);
            }
        }
        true
    }

    /// What was taken last belongs to PyTorch if one of its blocks lives there without memory.
    fn adopt(&mut self) {
        let Some(last) = self.held.last() else { return };
        let marked = self.covers(&[Class::Block], last.at, last.size).is_some();
        if let Some(last) = self.held.last_mut() {
            last.marked = marked && last.class != Class::Managed;
        }
    }

    fn map(&mut self, handle: usize, at: u64) -> bool {
        let named: Vec<usize> = (0..self.held.len())
            .filter(|n| matches!(self.held[*n].class, Class::Handle | Class::ImportedHandle))
            .filter(|n| self.held[*n].named)
            .collect();
        let Some(n) = named.get(handle % named.len().max(1)).copied() else { return false };
        let of = self.held[n].clone();
        let free = self.covers(&[Class::Mapping], at, of.size).is_none();
        let around = self.covers(&[Class::Reservation], at, of.size);
        let inside = around.is_some_and(|around| {
            let around = &self.held[around];
            around.at <= at && at + of.size <= around.at + around.size
        });
        if !free || !inside {
            return false;
        }
        self.take(Class::Mapping, of.device, at, of.size, of.at);
        let mapping = self.held.last_mut().unwrap();
        mapping.handle = of.birth;
        if of.class == Class::Handle && around.is_some_and(|around| self.held[around].marked) {
            self.held[n].marked = true;
        }
        true
    }

    fn lend(&mut self, device: u8, at: u64, size: u64) -> bool {
        if at + size > UNITS || self.covers(&[Class::Block], at, size).is_some() {
            return false;
        }
        let over = |one: &Held| one.at < at + size && at < one.at + one.size;
        let linear = self.held.iter().position(|one| one.class == Class::Linear && over(one));
        let reserved =
            self.held.iter().position(|one| one.class == Class::Reservation && over(one));
        // PyTorch hands out pieces of what it took: of one extent, or of one reservation.
        let Some(under) = linear.or(reserved) else { return false };
        let around = self.held[under].clone();
        if at < around.at || at + size > around.at + around.size || around.device != device {
            return false;
        }
        self.take(Class::Block, device, at, size, 0);
        self.held[under].marked = true;
        let inside = |one: &Held| {
            one.class == Class::Mapping && around.at <= one.at && one.at < around.at + around.size
        };
        let handles: Vec<u64> =
            self.held.iter().filter(|one| inside(one)).map(|one| one.handle).collect();
        for one in &mut self.held {
            one.marked |= one.class == Class::Handle && handles.contains(&one.birth);
        }
        true
    }

    fn give(&mut self, which: usize, fails: bool) -> bool {
        let n = which % self.held.len().max(1);
        let Some(one) = self.held.get(n).cloned() else { return false };
        let mapped = self
            .of(Class::Mapping)
            .any(|mapping| one.at <= mapping.at && mapping.at < one.at + one.size);
        match one.class {
            Class::Block => return false,
            Class::Reservation if mapped => return false,
            Class::Handle | Class::ImportedHandle if !one.named => return false,
            _ => {}
        }
        self.write(Verb::FreeBegin, &one, 0);
        if fails {
            self.write(Verb::FreeFailed, &one, 0);
            return true;
        }
        match one.class {
            Class::Handle | Class::ImportedHandle => self.held[n].named = false,
            _ => {
                self.held.remove(n);
            }
        }
        let mapped: Vec<u64> = self.of(Class::Mapping).map(|mapping| mapping.handle).collect();
        self.held.retain(|one| {
            !matches!(one.class, Class::Handle | Class::ImportedHandle)
                || one.named
                || mapped.contains(&one.birth)
        });
        true
    }

    /// Who has how much live on a device; memory that `open` says yes to is not anybody's yet.
    pub(super) fn live_sites(
        &self,
        device: u8,
        open: impl Fn(&Held) -> bool,
    ) -> BTreeMap<Site, Use> {
        let mut sites: BTreeMap<Site, Use> = BTreeMap::new();
        for one in self.held.iter().filter(|one| one.device == device) {
            let direct = matches!(one.class, Class::Linear | Class::Handle) && !one.marked;
            if direct && !open(one) || one.class == Class::Block {
                let used = sites.entry(one.site).or_default();
                used.bytes += one.size * MIB;
                used.blocks += 1;
            }
        }
        sites
    }

    /// Runs an operation and notes what was live before it, now that more can be told of the memory
    /// taken last, and after it, without the memory just taken.
    pub(super) fn step(&mut self, op: Op, device: u8) -> bool {
        let before = self.held.clone();
        if !self.run(op, device) {
            return false;
        }
        let marked: Vec<u64> =
            self.held.iter().filter(|one| one.marked).map(|one| one.birth).collect();
        let then = Self { held: before, ..Self::default() };
        let lends = matches!(op, Op::Lend { .. });
        self.candidates.push(then.live_sites(0, |one| lends && marked.contains(&one.birth)));
        let newest = self.script.events.last().map(|event| event.record.time);
        self.candidates.push(self.live_sites(0, |one| Some(one.birth) == newest));
        true
    }

    /// The live table a recorder would have.
    pub(super) fn live(&self) -> Vec<Live> {
        let index =
            |birth: u64| self.held.iter().position(|one| one.birth == birth).unwrap() as u32;
        let entry = |one: &Held| Entry {
            address: match one.class {
                Class::Handle | Class::ImportedHandle => one.at,
                _ => one.at * MIB,
            },
            class: one.class,
            device: one.device,
            flags: u8::from(one.private) | if one.named { 0 } else { FLAG_RELEASED },
            size: one.size * MIB,
            native: match one.class {
                Class::Mapping => index(one.handle),
                _ => one.site.native,
            },
            python: one.site.python,
            birth_us: one.birth / 1000,
            link: match one.class {
                Class::Handle | Class::ImportedHandle if one.named => LINK_REFERENCE,
                _ => 0,
            },
        };
        let indexed = self.held.iter().enumerate();
        indexed
            .map(|(n, one)| Live { index: n as u32, freeing: false, entry: entry(one) })
            .collect()
    }
}
