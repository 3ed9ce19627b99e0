//! What leaks and what grows in a process, as far as it has come.
//!
//! ```text
//! events ──▶ by time    from the first event on; looked at every ten minutes
//!        ──▶ by steps   from the moment that the run is seen to have steps; at most once a step
//! ```
//!
//! Both run side by side, because a run may stop marking its steps. Steps count as long as they go on
//! ([`Trends::finish`]).
//!
//! Where the timeline has a hole, what came and went in it is told from the live blocks on both sides.

use std::collections::BTreeMap;

use wire::record::{Class, Verb};

use super::trend::{Clock, Trend, Unit};
use crate::{
    detect::{
        growth::Growth,
        leak::{self, Held, Leaks},
        retained::{self, retained},
        tables::{Entry, Tables},
        thresholds::{BY_STEPS, BY_TIME, Windows},
    },
    ledger::Event,
    phase::Stepping,
    state::{Device, LiveBlock, Site, State},
};

/// Looks a run has at least before they become fewer than one a step: so many, and then one
/// whenever so many parts of the run have passed.
const LOOKS: u64 = 240;

/// The detectors of one device.
#[derive(Clone, Debug)]
struct OfDevice {
    leaks: Leaks,
    allocated: Growth,
    reserved: Growth,
    found: Vec<leak::Finding>,
    retained: Option<Vec<retained::Finding>>,
}

/// The detectors of all devices, counting in one unit.
#[derive(Clone, Debug)]
struct Fed {
    windows: Windows,
    begin: u64,
    devices: BTreeMap<Device, OfDevice>,
    /// Position of the last look, if there was one.
    looked: Option<u64>,
    /// Position of the last look or of what counts as one.
    last: u64,
    /// Positions between looks.
    every: u64,
}

impl Fed {
    fn new(windows: Windows, begin: u64) -> Self {
        let devices = BTreeMap::new();
        Self { windows, begin, devices, looked: None, last: begin, every: windows.confirm }
    }

    fn device(&mut self, device: Device) -> &mut OfDevice {
        self.devices.entry(device).or_insert_with(|| OfDevice {
            leaks: Leaks::new(self.windows, self.begin),
            allocated: Growth::new(self.windows),
            reserved: Growth::new(self.windows),
            found: Vec::new(),
            retained: None,
        })
    }

    fn applied(&mut self, state: &State, event: &Event, position: impl Fn(u64) -> u64) {
        let record = &event.record;
        let now = position(record.time);
        let of_device = self.device(record.device);
        if is_live_block(record.class) {
            let site = Site { native: record.native, python: record.python };
            match record.verb {
                Verb::Alloc => of_device.leaks.born(site, now),
                Verb::FreeBegin => {
                    let born = position(record.time.saturating_sub(record.aux));
                    of_device.leaks.died(site, born, now);
                }
                _ => {}
            }
        }
        let totals = state.totals(record.device);
        of_device.allocated.push(now, totals.allocated + totals.pool_allocated);
        of_device.reserved.push(now, totals.reserved());
    }

    /// What came and went in a hole of the timeline.
    fn passed(
        &mut self,
        now: u64,
        gone: &[LiveBlock],
        live: &[LiveBlock],
        at: impl Fn(u64) -> u64,
    ) {
        let entries = |blocks: &[LiveBlock], device: Device| -> Vec<Entry> {
            let blocks = blocks.iter().filter(|block| block.device == device);
            let entry =
                |block: &LiveBlock| Entry { address: block.address, held: held(block, &at) };
            blocks.map(entry).collect()
        };
        let mut devices: Vec<Device> = live.iter().chain(gone).map(|block| block.device).collect();
        devices.sort_unstable();
        devices.dedup();
        for device in devices {
            let mut tables = Tables::new(entries(gone, device));
            tables.pass(&mut self.device(device).leaks, now, entries(live, device));
        }
    }

    /// Looks, if it is time, or for the last time. A look after a long silence counts for the
    /// silence too: what is old enough now was there and alive all through it.
    fn look(&mut self, now: u64, live: &[LiveBlock], at: impl Fn(u64) -> u64) {
        let confirm = self.windows.confirm;
        let long = 2 * confirm.max(self.every);
        let silent = self.looked.is_none_or(|looked| now.saturating_sub(looked) > long);
        let before = now.checked_sub(confirm).filter(|before| silent && *before >= self.begin);
        for (device, of_device) in &mut self.devices {
            let blocks = || live.iter().filter(|block| block.device == *device);
            if let Some(before) = before {
                of_device.leaks.look(before, blocks().map(|block| held(block, &at)));
            }
            of_device.found = of_device.leaks.look(now, blocks().map(|block| held(block, &at)));
        }
        self.looked = Some(now);
    }
}

/// The leak and growth detectors of one process.
#[derive(Clone, Debug, Default)]
pub(super) struct Trends {
    by_time: Option<Fed>,
    by_steps: Option<Fed>,
    /// Which choice of a step `by_steps` follows.
    choice: u64,
    /// Since when events are known, `CLOCK_MONOTONIC`, ns.
    watched: Option<u64>,
    /// What was live when the timeline broke off.
    before_hole: Option<Vec<LiveBlock>>,
}

impl Trends {
    /// `event` has just been applied to `state`.
    pub fn applied(&mut self, state: &State, event: &Event, stepping: &Stepping) {
        if self.before_hole.is_some() {
            return;
        }
        let now = event.record.time;
        self.watched.get_or_insert(now);
        let by_time = self.by_time.get_or_insert_with(|| {
            // Of what was there before the first event, the oldest says when the run began.
            let begin = state.live_blocks().map(|block| block.birth).min().unwrap_or(now).min(now);
            Fed { last: now, ..Fed::new(BY_TIME, begin) }
        });
        if event.record.class != Class::None {
            by_time.applied(state, event, |time| time);
        }
        if now > by_time.last + by_time.every {
            by_time.last = now;
            by_time.look(now, &live(state), |time| time);
        }
        self.step(state, event, stepping);
    }

    fn step(&mut self, state: &State, event: &Event, stepping: &Stepping) {
        if stepping.choice() != self.choice {
            self.choice = stepping.choice();
            self.by_steps = Some(Fed::new(BY_STEPS, 0));
        }
        let Some(by_steps) = &mut self.by_steps else { return };
        let at = |time: u64| stepping.position(time);
        if event.record.class != Class::None {
            by_steps.applied(state, event, at);
        }
        let step = (stepping.begins().len() as u64).saturating_sub(1);
        // The look falls on the end of the step before: its blocks are as old as they get.
        by_steps.every = (step / LOOKS).max(1);
        if step >= by_steps.last + by_steps.every {
            by_steps.last = step;
            let live = live(state);
            by_steps.look(step - 1, &live, at);
            retain(by_steps, stepping, &live);
        }
    }

    /// Events were lost, or are not kept from here on.
    pub fn lost(&mut self, state: &State) {
        self.before_hole.get_or_insert_with(|| live(state));
    }

    /// `state` is what is held right after the loss.
    pub fn found(&mut self, state: &State, stepping: &Stepping) {
        let Some(gone) = self.before_hole.take() else { return };
        let (now, live) = (state.now(), live(state));
        if let Some(by_time) = &mut self.by_time {
            by_time.passed(now, &gone, &live, |time| time);
        }
        if let Some(by_steps) = &mut self.by_steps {
            let at = |time: u64| stepping.position(time);
            by_steps.passed(at(now), &gone, &live, at);
        }
    }

    /// The end of the timeline, at which `state` is held.
    pub fn finish(mut self, state: &State, stepping: &Stepping) -> BTreeMap<Device, Trend> {
        self.found(state, stepping);
        let (now, live) = (state.now(), live(state));
        let watched = self.watched.unwrap_or(now);
        let begins = stepping.begins();
        let (first, last) = (begins.first().copied(), begins.last().copied());
        let stepped = first.zip(last).map_or(0, |(first, last)| last - first);
        // A run that went on for as long without steps as with them has given them up; in less than
        // what a leak by time takes to show, there is nothing to change to.
        let long = stepped.max(BY_TIME.suspect);
        let goes_on = last.is_some_and(|last| now.saturating_sub(last) <= long);
        let (fed, unit) = match self.by_steps.filter(|_| goes_on) {
            Some(fed) => (Some(fed), Unit::Step),
            None => (self.by_time, Unit::Time),
        };
        let Some(mut fed) = fed else { return BTreeMap::new() };
        let told = |of_device: &mut OfDevice| std::mem::take(&mut of_device.found);
        let before: Vec<_> = fed.devices.values_mut().map(told).collect();
        let clock = Clock { unit, stepping, now };
        let at = |time| clock.at(time);
        fed.look(at(now), &live, at);
        let units = (at(now) - at(watched).min(at(now))) / fed.windows.unit;
        let devices = fed.devices.into_iter().zip(before);
        let trend = |((device, of_device), before): ((Device, OfDevice), Vec<leak::Finding>)| {
            let live = live.iter().filter(|block| block.device == device);
            let course = |growth: &Growth| clock.course(growth.check(), live.clone());
            let trend = Trend {
                unit,
                unit_ns: clock.unit_ns(),
                units,
                allocated: course(&of_device.allocated),
                reserved: course(&of_device.reserved),
                leaks: clock.leaks(&before, of_device.found, units),
                retained: of_device.retained,
            };
            (device, trend)
        };
        devices.map(trend).collect()
    }
}

fn retain(fed: &mut Fed, stepping: &Stepping, live: &[LiveBlock]) {
    for (device, of_device) in &mut fed.devices {
        let blocks = live.iter().filter(|block| block.device == *device);
        of_device.retained = retained(stepping.begins(), blocks.map(|block| held(block, |at| at)));
    }
}

fn live(state: &State) -> Vec<LiveBlock> {
    let mut live = Vec::new();
    // Not by `collect`, which asks the chain for one at a time: slow for a large table.
    state.live_blocks().for_each(|block| live.push(block));
    live
}

fn held(block: &LiveBlock, at: impl Fn(u64) -> u64) -> Held {
    Held { site: block.site, born: at(block.birth), bytes: block.bytes }
}

/// Whether a record of this class is about something that [`State::live_blocks`] may list.
const fn is_live_block(class: Class) -> bool {
    matches!(
        class,
        Class::Block
            | Class::PoolBlock
            | Class::Linear
            | Class::Handle
            | Class::Array
            | Class::Graph
    )
}
