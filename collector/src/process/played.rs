//! A process's timeline played through: what it holds, and how it came to that.

use std::collections::BTreeMap;

use wire::record::{Class, Verb};

use super::Steps;
use crate::{
    detect::{creep::Creep, out_of_memory::Moments},
    ledger::{Event, Step},
    phase::{Phases, Told},
    state::{Device, State},
};

/// Events that are kept at most until the live set that they lead to is known.
const MOST_HELD: usize = 1 << 19;

/// What playing a timeline through gives.
#[derive(Clone, Debug, Default)]
pub struct Played {
    /// What it holds.
    pub state: State,
    /// The detector of each device, fed with all that is known.
    pub creeps: BTreeMap<Device, Creep>,
    /// Times PyTorch's allocator gave up, oldest first.
    pub ooms: Vec<Event>,
    /// How its memory lay at those times.
    pub oom_moments: Moments,
    /// Physical bytes of each device by `CLOCK_MONOTONIC`, ns.
    pub reserved: BTreeMap<Device, Steps>,
    /// `CLOCK_MONOTONIC` since when its timeline is known, ns; 0 if from the beginning.
    pub known_since: u64,
    /// Its phases.
    pub phases: Told,
}

/// Whoever wants to see each event as it is applied.
pub trait Observer {
    /// `event` has just been applied to `state`.
    fn applied(&mut self, state: &mut State, event: &Event);

    /// Slots were lost, and what is held is not known.
    fn lost(&mut self) {}

    /// `state` is what was held right after the loss.
    fn found(&mut self, _state: &State) {}

    /// The live table was read, and `state` is as it says.
    fn resynced(&mut self, _state: &State) {}

    /// The timeline has ended.
    fn closed(&mut self, _state: &mut State) {}
}

/// Plays a timeline, step by step.
///
/// After a loss nobody knows what is held, so the events after it are kept until a live set comes;
/// from it and from them follows what was held right after the loss, and then they are applied.
#[derive(Clone, Debug, Default)]
pub struct Player<O> {
    state: State,
    observer: O,
    held: Option<Vec<Event>>,
    applied: u64,
    known_since: u64,
}

impl<O: Observer> Player<O> {
    /// A player whose events `observer` sees.
    pub fn new(observer: O) -> Self {
        let (state, held) = (State::default(), None);
        Self { state, observer, held, applied: 0, known_since: 0 }
    }

    /// Tells which native stacks are those of PyTorch's allocator.
    pub fn learn(&mut self, stacks: impl IntoIterator<Item = u32>) {
        self.state.learn(stacks);
    }

    /// Plays one step.
    pub fn step(&mut self, step: Step<'_>) {
        match step {
            Step::Lost(_) => {
                self.observer.lost();
                self.held.get_or_insert_default();
            }
            Step::Event(event) => match &mut self.held {
                Some(held) if held.len() < MOST_HELD => held.push(*event),
                Some(_) => {
                    self.give_up_waiting();
                    self.apply(event);
                }
                None => self.apply(event),
            },
            Step::Live(live) => {
                if let Some(held) = self.held.take() {
                    if self.applied == 0 {
                        self.known_since = held.first().map_or(0, |event| event.record.time);
                    }
                    self.state.resync_before(live, &held);
                    self.observer.found(&self.state);
                    held.iter().for_each(|event| self.apply(event));
                }
                self.state.resync(live);
                self.observer.resynced(&self.state);
            }
        }
    }

    /// The observer.
    pub fn observer(&mut self) -> &mut O {
        &mut self.observer
    }

    /// Nothing more will come.
    pub fn close(&mut self) {
        self.give_up_waiting();
        self.observer.closed(&mut self.state);
    }

    fn give_up_waiting(&mut self) {
        let held = self.held.take().unwrap_or_default();
        held.iter().for_each(|event| self.apply(event));
    }

    fn apply(&mut self, event: &Event) {
        self.applied += 1;
        self.state.apply(event);
        self.observer.applied(&mut self.state, event);
    }
}

impl Player<Detectors> {
    /// The end of the timeline.
    #[must_use]
    pub fn finish(mut self) -> Played {
        self.close();
        let Detectors { creeps, ooms, oom_moments, reserved, phases, .. } = self.observer;
        Played {
            state: self.state,
            creeps,
            ooms,
            oom_moments,
            reserved,
            known_since: self.known_since,
            phases: phases.finish(),
        }
    }
}

/// Out-of-memory events kept at least, the last ones: a program may catch them in a loop.
const OOMS: usize = 500;

/// Feeds the detectors, and keeps what the report tells event by event.
#[derive(Clone, Debug)]
pub struct Detectors {
    creeps: BTreeMap<Device, Creep>,
    ooms: Vec<Event>,
    oom_moments: Moments,
    reserved: BTreeMap<Device, Steps>,
    phases: Phases,
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
            phases: Phases::default(),
            complete_until,
        }
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
    fn lost(&mut self) {
        self.phases.lost();
    }

    fn found(&mut self, state: &State) {
        if state.now() < self.complete_until {
            self.phases.found(state);
        }
    }

    fn applied(&mut self, state: &mut State, event: &Event) {
        let Event { record, .. } = event;
        if record.time >= self.complete_until {
            self.phases.lost();
        }
        self.phases.applied(state, event);
        if (record.verb, record.class) == (Verb::OutOfMemory, Class::Block) {
            if self.ooms.len() == 2 * OOMS {
                self.ooms.drain(..OOMS);
            }
            self.ooms.push(*event);
            self.oom_moments.gave_up(state, event);
        }
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
        for device in state.devices() {
            let reserved = state.totals(device).reserved();
            self.reserved.entry(device).or_default().push(state.now(), reserved);
        }
        if state.now() >= self.complete_until {
            return;
        }
        for device in state.devices() {
            let totals = state.totals(device);
            let (allocated, reserved) = (totals.allocated, totals.allocator_reserved);
            let creep = self.creeps.entry(device).or_default();
            creep.push(state.now(), allocated, reserved, std::iter::empty());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ledger::Live,
        source::fake::{entry, record},
    };

    fn event(position: u64, verb: Verb, address: u64, time: u64, age: u64) -> Event {
        let mut record = record(verb, Class::Block, address, 512, 0);
        (record.time, record.aux) = (time, age);
        Event { position, record, extra: None }
    }

    fn live(address: u64, birth_us: u64) -> Live {
        let entry = entry(Class::Block, address, 512, 0);
        Live { index: 0, freeing: false, entry: wire::live::Entry { birth_us, ..entry } }
    }

    /// Bytes in blocks after each event.
    #[derive(Default)]
    struct Watched(Vec<u64>);

    impl Observer for Watched {
        fn applied(&mut self, state: &mut State, _: &Event) {
            self.0.push(state.totals(0).allocated);
        }
    }

    #[test]
    fn after_a_loss_what_is_held_follows_from_the_next_live_set() {
        let mut player = Player::<Watched>::default();
        player.step(Step::Event(&event(0, Verb::Alloc, 0x1000, 1_000, 0)));
        player.step(Step::Lost(10));
        // 0x2000 was taken in the gap and is given back here.
        player.step(Step::Event(&event(11, Verb::FreeBegin, 0x2000, 90_000, 50_000)));
        player.step(Step::Event(&event(12, Verb::Alloc, 0x4000, 95_000, 0)));
        assert_eq!(player.observer().0, [512], "nothing is known yet");
        // In the gap 0x3000 and 0x5000 were taken, too, and 0x1000 given back.
        player.step(Step::Live(&[live(0x3000, 30), live(0x4000, 95), live(0x5000, 31)]));
        assert_eq!(player.observer().0, [512, 2 * 512, 3 * 512]);
        // From here on events count at once.
        player.step(Step::Event(&event(13, Verb::FreeBegin, 0x4000, 99_000, 4_000)));
        assert_eq!(player.observer().0.last(), Some(&(2 * 512)));
    }

    #[test]
    fn a_timeline_that_begins_with_a_loss_is_known_from_its_first_event() {
        let mut player = Player::<Detectors>::default();
        player.step(Step::Lost(10));
        player.step(Step::Event(&event(11, Verb::Alloc, 0x4000, 95_000, 0)));
        player.step(Step::Live(&[live(0x3000, 30), live(0x4000, 95)]));
        assert_eq!(player.finish().known_since, 95_000);
    }

    #[test]
    fn without_a_live_set_the_events_are_applied_as_they_are() {
        let mut player = Player::<Detectors>::default();
        player.step(Step::Lost(10));
        player.step(Step::Event(&event(11, Verb::Alloc, 0x4000, 95_000, 0)));
        assert_eq!(player.finish().state.totals(0).allocated, 512);
    }

    #[test]
    fn out_of_memory_is_kept() {
        let mut player = Player::<Detectors>::default();
        player.step(Step::Event(&event(0, Verb::OutOfMemory, 0, 1, 0)));
        assert_eq!(player.finish().ooms.len(), 1);
    }
}
