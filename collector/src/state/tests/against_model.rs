//! The segment map against the naive model, which answers every question by looking at each unit of
//! the address space.

use std::collections::BTreeMap;

use proptest::prelude::*;
use wire::record::{Class, Verb};

use super::{
    model::{DEVICES, Held, Model, UNITS, op},
    script::MIB,
};
use crate::state::{Free, Kind, Segment, Site, State, Use};

/// The owner of the model's blocks.
const TORCH: Site = Site { native: 1000, python: 1000 };

/// A segment as the model sees it: kind, first unit, units, holds blocks, free, live bytes.
type Seen = (Kind, u64, u64, bool, Free, u64);

impl Model {
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

    fn segments(&self, device: u8) -> Vec<Seen> {
        let mut seen: Vec<Seen> = Vec::new();
        let mut last: Option<(usize, Option<usize>)> = None;
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
