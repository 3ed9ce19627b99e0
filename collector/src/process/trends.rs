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

use crate::{
    detect::{
        growth::{self, Growth},
        leak::{self, Held, Leaks},
        retained::{self, retained},
        tables::{Entry, Tables},
        thresholds::{BY_STEPS, BY_TIME, Windows},
    },
    ledger::Event,
    phase::Stepping,
    state::{Device, LiveBlock, State},
};

/// Looks a run has at least before they become fewer than one a step: so many, and then one
/// whenever so many parts of the run have passed.
const LOOKS: u64 = 240;

/// What positions of a [`Trend`] count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// ns of `CLOCK_MONOTONIC`; rates are by the minute.
    Time,
    /// Steps; rates are by the step.
    Step,
}

/// A leak, and when it was seen last.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Leak {
    /// What was found; its positions are those of the trend.
    pub found: leak::Finding,
    /// Birth of its first survivor, `CLOCK_MONOTONIC`, ns.
    pub since: u64,
    /// Whether it still held at the end of the timeline. A process that ends gives its blocks back,
    /// so what is told of one that has ended is what held at the last look before.
    pub lasts: bool,
}

/// What leaks and what grows on one device.
#[derive(Clone, Debug, PartialEq)]
pub struct Trend {
    /// What is counted in.
    pub unit: Unit,
    /// Time of one unit: a minute, or what a step takes in the mean; ns.
    pub unit_ns: u64,
    /// Units that are known.
    pub units: u64,
    /// Leaks, most bytes first.
    pub leaks: Vec<Leak>,
    /// What each step leaves behind; none without enough steps.
    pub retained: Option<Vec<retained::Finding>>,
    /// Bytes in blocks.
    pub allocated: growth::Verdict,
    /// Physical bytes.
    pub reserved: growth::Verdict,
    /// When the growth that is judged began, `CLOCK_MONOTONIC`, ns: of allocated, of reserved.
    pub since: [Option<u64>; 2],
}

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
struct Course {
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

impl Course {
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
            let site = crate::state::Site { native: record.native, python: record.python };
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
    by_time: Option<Course>,
    by_steps: Option<Course>,
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
            Course { last: now, ..Course::new(BY_TIME, begin) }
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
            self.by_steps = Some(Course::new(BY_STEPS, 0));
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
        let by_steps = self.by_steps.filter(|_| goes_on);
        let (course, unit, unit_ns) = match by_steps {
            Some(course) => {
                let steps = (begins.len() as u64).saturating_sub(1).max(1);
                (Some(course), Unit::Step, stepped / steps)
            }
            None => (self.by_time, Unit::Time, BY_TIME.unit),
        };
        let Some(mut course) = course else { return BTreeMap::new() };
        let at = |time: u64| match unit {
            Unit::Time => time,
            Unit::Step => stepping.position(time),
        };
        let time_of = |position: u64| match unit {
            Unit::Time => position,
            Unit::Step => begins.get(position as usize).copied().unwrap_or(now),
        };
        let before: BTreeMap<Device, Vec<leak::Finding>> = course
            .devices
            .iter_mut()
            .map(|(device, of_device)| (*device, std::mem::take(&mut of_device.found)))
            .collect();
        course.look(at(now), &live, at);
        let units = (at(now) - at(watched).min(at(now))) / course.windows.unit;
        let mut trends = BTreeMap::new();
        for (device, of_device) in course.devices {
            let leaks = join(before.get(&device).map_or(&[], Vec::as_slice), of_device.found);
            let leaks = leaks.into_iter().map(|(found, lasts)| {
                // Without having seen the time out in which a leak shows, nobody knows how long the
                // site's blocks ordinarily live.
                let seen = units * course.windows.unit >= course.windows.alert;
                let sureness = if seen { found.sureness } else { leak::Sureness::Suspect };
                let found = leak::Finding { sureness, ..found };
                Leak { found, since: time_of(found.since), lasts }
            });
            let verdicts = [of_device.allocated.check(), of_device.reserved.check()];
            let since = verdicts.map(|verdict| match verdict {
                growth::Verdict::Growing(growing) => Some(time_of(growing.since)),
                growth::Verdict::Step { at, .. } => Some(time_of(at)),
                _ => None,
            });
            let [allocated, reserved] = verdicts;
            let retained = of_device.retained;
            let leaks = leaks.collect();
            let trend = Trend { unit, unit_ns, units, leaks, retained, allocated, reserved, since };
            trends.insert(device, trend);
        }
        trends
    }
}

/// What held at the end, and what held at the last look before it and does no more.
fn join(before: &[leak::Finding], found: Vec<leak::Finding>) -> Vec<(leak::Finding, bool)> {
    let ended = before.iter().filter(|old| found.iter().all(|new| new.site != old.site));
    let mut all: Vec<_> = ended.map(|old| (*old, false)).collect();
    all.extend(found.into_iter().map(|new| (new, true)));
    all.sort_by_key(|(found, _)| std::cmp::Reverse(found.bytes));
    all
}

fn retain(course: &mut Course, stepping: &Stepping, live: &[LiveBlock]) {
    for (device, of_device) in &mut course.devices {
        let blocks = live.iter().filter(|block| block.device == *device);
        of_device.retained = retained(stepping.begins(), blocks.map(|block| held(block, |at| at)));
    }
}

fn live(state: &State) -> Vec<LiveBlock> {
    state.live_blocks().collect()
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
