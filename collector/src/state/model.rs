//! The segment map against a naive model that knows memory only unit by unit.
//!
//! The model keeps plain lists and answers every question by looking at each unit of the address
//! space. Programs are random, but possible: what the driver and PyTorch would refuse, the model
//! refuses to write down.

use std::collections::BTreeMap;

use proptest::prelude::*;
use wire::{
    live::{Entry, FLAG_RELEASED, LINK_REFERENCE},
    record::{Class, Verb},
};

use super::{
    Free, Kind, Segment, Site, State, Use,
    testing::{MIB, Script},
};
use crate::ledger::Live;

/// Units of address space: linear memory below `RESERVABLE`, reservations above.
const UNITS: u64 = 96;
const RESERVABLE: u64 = 40;
/// Devices of the model.
const DEVICES: u8 = 2;
/// The owner of the model's blocks.
const TORCH: Site = Site { native: 1000, python: 1000 };

#[derive(Clone, Copy, Debug)]
enum Op {
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

fn op() -> impl Strategy<Value = Op> {
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
struct Held {
    class: Class,
    device: u8,
    at: u64,
    size: u64,
    site: Site,
    /// Time of the event.
    birth: u64,
    private: bool,
    /// A block ever lay in it. For a handle: in something it is mapped to.
    marked: bool,
    /// Of a handle: the program's reference is there.
    named: bool,
    /// Of a mapping: birth of its handle.
    handle: u64,
}

#[derive(Default)]
struct Model {
    held: Vec<Held>,
    script: Script,
    /// What may have been the peak of device 0: who had how much live, as far as one could tell.
    candidates: Vec<BTreeMap<Site, Use>>,
}

impl Model {
    fn of(&self, class: Class) -> impl Iterator<Item = &Held> {
        self.held.iter().filter(move |one| one.class == class)
    }

    fn covers(&self, classes: &[Class], at: u64, size: u64) -> Option<usize> {
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
    fn live_sites(&self, device: u8, open: impl Fn(&Held) -> bool) -> BTreeMap<Site, Use> {
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
    fn step(&mut self, op: Op, device: u8) -> bool {
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

    fn check_peak(&self, state: &State) -> Result<(), TestCaseError> {
        let total =
            |sites: &BTreeMap<Site, Use>| sites.values().map(|used| used.bytes).sum::<u64>();
        let all = self.live_sites(0, |_| false);
        let candidates = || self.candidates.iter().chain([&all]);
        let peak = candidates().map(total).max().unwrap_or(0);
        prop_assert_eq!(state.peak(0).bytes, peak);
        let then = state.sites_at_peak(0);
        prop_assert!(candidates().any(|one| *one == then) || peak == 0);
        prop_assert_eq!(total(&then), peak);
        Ok(())
    }

    /// The live table a recorder would have.
    fn live(&self) -> Vec<Live> {
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

/// A segment as the model sees it: kind, first unit, units, holds blocks, free, live bytes.
type Seen = (Kind, u64, u64, bool, Free, u64);

impl Model {
    fn segments(&self, device: u8) -> Vec<Seen> {
        let mut seen: Vec<Seen> = Vec::new();
        let mut last: Option<(usize, Option<usize>)> = None;
        let mut counted: Vec<u64> = Vec::new();
        for unit in 0..UNITS {
            let extent = self.covers(&[Class::Linear, Class::Managed, Class::Mapping], unit, 1);
            let Some(n) = extent.filter(|n| self.held[*n].device == device) else {
                last = None;
                continue;
            };
            let one = &self.held[n];
            let around = self.covers(&[Class::Reservation], unit, 1);
            let memory = match one.class {
                Class::Mapping => self.held.iter().find(|of| of.birth == one.handle).unwrap(),
                _ => one,
            };
            let kind = match memory.class {
                Class::Handle => Kind::Vmm,
                Class::ImportedHandle => Kind::Imported,
                Class::Managed => Kind::Managed,
                _ => Kind::Linear,
            };
            let joins = seen.last().is_some_and(|before| before.0 == kind)
                && last.is_some_and(|(before, reservation)| {
                    before == n
                        || one.class == Class::Mapping && reservation == around && around.is_some()
                });
            if !joins {
                seen.push((kind, unit, 0, false, Free::default(), 0));
            }
            let segment = seen.last_mut().unwrap();
            segment.2 += 1;
            segment.3 |= memory.marked || around.is_some_and(|around| self.held[around].marked);
            let lent = |unit: u64| {
                self.of(Class::Block).any(|block| {
                    block.device == device && block.at <= unit && unit < block.at + block.size
                })
            };
            segment.5 += u64::from(lent(unit)) * MIB;
            // The lowest mapping of a handle stands for its memory.
            if one.at == unit {
                counted.push(memory.birth);
            }
            let alias = one.class == Class::Mapping
                && self.of(Class::Mapping).any(|of| of.handle == one.handle && of.at < one.at);
            if kind.reserved() && !alias && !lent(unit) {
                let pinned = (one.at..one.at + one.size).any(lent);
                let free = match (pinned, memory.private) {
                    (true, _) => &mut segment.4.stranded,
                    (false, true) => &mut segment.4.private,
                    (false, false) => &mut segment.4.releasable,
                };
                *free += MIB;
            }
            last = Some((n, around));
        }
        seen
    }

    fn check(&self, state: &State, sticky: bool) -> Result<(), TestCaseError> {
        for device in 0..DEVICES {
            let totals = state.totals(device);
            let bytes = |class: Class| {
                self.of(class)
                    .filter(|one| one.device == device)
                    .map(|one| one.size * MIB)
                    .sum::<u64>()
            };
            prop_assert_eq!(totals.linear, bytes(Class::Linear));
            prop_assert_eq!(totals.vmm, bytes(Class::Handle));
            prop_assert_eq!(totals.imported, bytes(Class::ImportedHandle));
            prop_assert_eq!(totals.managed, bytes(Class::Managed));
            prop_assert_eq!(totals.allocated, bytes(Class::Block));
            let segments = state.segments(device);
            let seen = |one: &Segment| {
                let live = one.extents.iter().map(|extent| extent.live).sum();
                let marked = one.holds_blocks && sticky;
                (one.kind, one.start / MIB, one.size / MIB, marked, one.free(), live)
            };
            let mapped: Vec<Seen> = segments.iter().filter(|one| one.mapped).map(seen).collect();
            let mut model = self.segments(device);
            model.iter_mut().for_each(|one| one.3 &= sticky);
            prop_assert_eq!(mapped, model);
            let unmapped: Vec<(u64, u64)> = segments
                .iter()
                .filter(|one| !one.mapped)
                .map(|one| (one.start, one.size / MIB))
                .collect();
            let handles = self.held.iter().filter(|one| {
                matches!(one.class, Class::Handle | Class::ImportedHandle)
                    && one.device == device
                    && !self.of(Class::Mapping).any(|mapping| mapping.handle == one.birth)
            });
            let handles: Vec<(u64, u64)> = handles.map(|one| (one.at, one.size)).collect();
            prop_assert_eq!(unmapped.len(), handles.len());
            prop_assert!(handles.iter().all(|one| unmapped.contains(one)));
            self.check_sums(state, device)?;
            if sticky {
                prop_assert_eq!(state.sites(device), self.live_sites(device, |_| false));
                let marked = |one: &&Held| {
                    matches!(one.class, Class::Linear | Class::Handle)
                        && one.device == device
                        && one.marked
                };
                let held = self.held.iter().filter(marked).map(|one| one.size * MIB).sum::<u64>();
                prop_assert_eq!(totals.allocator_reserved, held);
            }
        }
        Ok(())
    }

    /// What allocators hold adds up, and all of it is the device's.
    fn check_sums(&self, state: &State, device: u8) -> Result<(), TestCaseError> {
        let owned = state.owned(device, &TORCH, |site| site);
        let mut reserved = 0;
        for (site, sum) in &owned.allocators {
            let allocated = sum.allocated.unwrap_or(sum.reserved);
            let free = sum.free.stranded + sum.free.releasable + sum.free.private;
            prop_assert_eq!(sum.reserved + sum.unbacked, allocated + free, "{:?}", site);
            reserved += sum.reserved;
        }
        prop_assert_eq!(reserved, state.totals(device).reserved());
        let listed = owned.segments.iter().map(|(_, one, _)| one.blocks.len()).sum::<usize>();
        let blocks = self.of(Class::Block).filter(|one| one.device == device).count();
        prop_assert_eq!(listed + owned.adrift.len(), blocks);
        let lent = owned.allocators.get(&TORCH).and_then(|sum| sum.allocated).unwrap_or(0);
        prop_assert_eq!(lent, state.totals(device).allocated);
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// After every event the map is what the model is, however it was arrived at: by events alone,
    /// from the live table alone, or by events that the live table had seen already.
    #[test]
    fn the_map_is_what_the_naive_model_says(
        ops in prop::collection::vec((op(), 0..DEVICES), 1..60),
        seam in any::<prop::sample::Index>(),
    ) {
        let mut model = Model::default();
        let mut state = State::default();
        let mut applied = 0;
        let mut at_seam = None;
        let seam = seam.index(ops.len());
        for (n, (op, device)) in ops.into_iter().enumerate() {
            if n == seam {
                at_seam = Some((applied, model.held.clone()));
            }
            if !model.step(op, device) {
                continue;
            }
            for event in &model.script.events[applied..] {
                state.apply(event);
            }
            applied = model.script.events.len();
            model.check(&state, true)?;
        }
        model.check_peak(&state)?;
        let live = model.live();
        model.check(&State::from_live(&live), false)?;

        let mut resynced = state.clone();
        resynced.resync(&live);
        model.check(&resynced, true)?;
        prop_assert_eq!(resynced.peak(0), state.peak(0));
        prop_assert_eq!(resynced.sites_at_peak(0), state.sites_at_peak(0));

        // The ring forgot what was before the seam.
        let Some((from, held)) = at_seam else { return Ok(()) };
        let since = &model.script.events[from..];
        let mut late = State::from_live(&live);
        let mut replayed = State::at_start(&live, since);
        // Which handle a mapping was of that is gone by now, nobody wrote down.
        let unmapped = since.iter().any(|event| {
            (event.record.verb, event.record.class) == (Verb::FreeBegin, Class::Mapping)
        });
        if !since.is_empty() && !unmapped {
            let then = Model { held, ..Model::default() };
            then.check(&replayed, false)?;
        }
        for event in since {
            late.apply(event);
            replayed.apply(event);
        }
        model.check(&late, false)?;
        model.check(&replayed, false)?;
    }
}
