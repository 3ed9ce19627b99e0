//! What a player feeds: the detectors, and what the report tells event by event.

use std::collections::BTreeMap;

use wire::record::{Class, Verb};

use super::{Calls, Observer, Played, Player, Steps, trends::Trends};
use crate::{
    detect::{creep::Creep, out_of_memory::Moments, requests::Requests},
    ledger::{Event, Tables},
    phase::Phases,
    state::{Device, State},
};

/// Out-of-memory events kept at least, the last ones: a program may catch them in a loop.
const OOMS: usize = 500;

/// Feeds the detectors, and keeps what the report tells event by event.
#[derive(Clone, Debug)]
pub struct Detectors {
    creeps: BTreeMap<Device, Creep>,
    ooms: Vec<Event>,
    oom_moments: Moments,
    reserved: BTreeMap<Device, Steps>,
    calls: Calls,
    requests: BTreeMap<Device, Requests>,
    phases: Phases,
    trends: Trends,
    /// Where the events are all there, ns of `CLOCK_MONOTONIC`; after that roll-ups must do.
    complete_until: u64,
}

impl Default for Detectors {
    fn default() -> Self {
        Self::until(u64::MAX)
    }
}

impl Detectors {
    /// Detectors of a timeline that lacks block events from `complete_until` on, ns of
    /// `CLOCK_MONOTONIC`.
    #[must_use]
    pub fn until(complete_until: u64) -> Self {
        Self {
            creeps: BTreeMap::new(),
            ooms: Vec::new(),
            oom_moments: Moments::default(),
            reserved: BTreeMap::new(),
            calls: Calls::default(),
            requests: BTreeMap::new(),
            phases: Phases::default(),
            trends: Trends::default(),
            complete_until,
        }
    }

    /// Tells what ids stand for.
    pub fn learn(&mut self, tables: &Tables) {
        self.phases.learn(tables);
    }

    /// Feeds what is known of a stretch of time: figures at its begin, and others at its end.
    pub fn rolled_up(&mut self, device: Device, figures: [Figures; 2]) {
        for Figures { time, allocated, reserved } in figures {
            if time >= self.complete_until {
                let creep = self.creeps.entry(device).or_default();
                creep.push(time, allocated, reserved, std::iter::empty());
            }
        }
    }
}

/// What PyTorch's allocator had at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures {
    /// `CLOCK_MONOTONIC`, ns.
    pub time: u64,
    /// Bytes in blocks.
    pub allocated: u64,
    /// Bytes it holds.
    pub reserved: u64,
}

impl Observer for Detectors {
    fn lost(&mut self, state: &State) {
        self.phases.lost();
        self.trends.lost(state);
    }

    fn found(&mut self, state: &State) {
        if state.now() < self.complete_until {
            self.phases.found(state);
            self.trends.found(state, self.phases.stepping());
        }
    }

    fn coming(&mut self, state: &State, event: &Event) {
        self.phases.coming(state, event);
    }

    fn applied(&mut self, state: &mut State, event: &Event) {
        let Event { record, .. } = event;
        if record.time >= self.complete_until {
            self.phases.incomplete();
            self.trends.lost(state);
        }
        self.phases.applied(state, event);
        self.trends.applied(state, event, self.phases.stepping());
        if (record.verb, record.class) == (Verb::OutOfMemory, Class::Block) {
            if self.ooms.len() == 2 * OOMS {
                self.ooms.drain(..OOMS);
            }
            self.ooms.push(*event);
            self.oom_moments.gave_up(state, event);
        }
        if (record.verb, record.class) == (Verb::Alloc, Class::Block) {
            self.requests.entry(record.device).or_default().push(record.size);
        }
        self.calls.push(record);
        if record.class != Class::Block {
            let reserved = state.totals(record.device).reserved();
            self.reserved.entry(record.device).or_default().push(record.time, reserved);
        }
        if record.time >= self.complete_until {
            return;
        }
        let totals = state.totals(record.device);
        let grown = state.grown().iter().filter(|growth| growth.device == record.device);
        self.creeps.entry(record.device).or_default().push(
            record.time,
            totals.allocated,
            totals.allocator_reserved,
            grown.map(|growth| (growth.site, growth.bytes)),
        );
    }

    fn resynced(&mut self, state: &State) {
        self.trends.found(state, self.phases.stepping());
        for device in state.devices() {
            let reserved = state.totals(device).reserved();
            self.reserved.entry(device).or_default().push(state.now(), reserved);
        }
        if state.now() >= self.complete_until {
            return;
        }
        self.phases.resynced(state);
        for device in state.devices() {
            let totals = state.totals(device);
            let (allocated, reserved) = (totals.allocated, totals.allocator_reserved);
            let creep = self.creeps.entry(device).or_default();
            creep.push(state.now(), allocated, reserved, std::iter::empty());
        }
    }
}

impl Player<Detectors> {
    /// The end of the timeline.
    #[must_use]
    pub fn finish(mut self) -> Played {
        self.close();
        let Detectors {
            creeps, ooms, oom_moments, reserved, calls, requests, phases, trends, ..
        } = self.observer;
        let trends = trends.finish(&self.state, phases.stepping());
        let steps = phases.stepping().begins().to_vec();
        Played {
            phases: phases.finish(&self.state),
            state: self.state,
            creeps,
            ooms,
            oom_moments,
            reserved,
            calls,
            requests,
            known_since: self.known_since,
            steps,
            trends,
        }
    }
}
