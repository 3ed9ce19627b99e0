//! A process's timeline played through: what it holds, and how it came to that.

use std::collections::BTreeMap;

use super::{Calls, Steps, Trend};
use crate::{
    detect::{creep::Creep, out_of_memory::Moments, requests::Requests},
    ledger::{Event, Live, Step},
    outside::Queue,
    phase::Told,
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
    /// Calls after which the driver may hold more or less for itself.
    pub calls: Calls,
    /// How large the blocks were that PyTorch's allocator was asked for.
    pub requests: BTreeMap<Device, Requests>,
    /// `CLOCK_MONOTONIC` since when its timeline is known, ns; 0 if from the beginning.
    pub known_since: u64,
    /// Its phases.
    pub phases: Told,
    /// When each of its steps began, `CLOCK_MONOTONIC`, ns; none where nothing is seen to be a step.
    pub steps: Vec<u64>,
    /// What leaks and what grows on each device.
    pub trends: BTreeMap<Device, Trend>,
}

/// Whoever wants to see each event as it is applied.
pub trait Observer {
    /// `event` is about to be applied to `state`.
    fn coming(&mut self, _state: &State, _event: &Event) {}

    /// `event` has just been applied to `state`.
    fn applied(&mut self, state: &mut State, event: &Event);

    /// Slots were lost after `state`, and what is held is not known.
    fn lost(&mut self, _state: &State) {}

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
/// from it and from them follows what was held right after the loss, and then they are applied. Of
/// several losses it follows after the last.
#[derive(Clone, Debug, Default)]
pub struct Player<O> {
    pub(super) state: State,
    pub(super) observer: O,
    held: Option<Vec<Event>>,
    /// How many of `held` came before the newest loss.
    before_loss: usize,
    applied: u64,
    pub(super) known_since: u64,
    outside: Queue,
    /// Where to stop, ns of `CLOCK_MONOTONIC`.
    until: Option<u64>,
    /// Whether there was anything after that.
    stopped: bool,
}

impl<O: Observer> Player<O> {
    /// A player whose events `observer` sees.
    pub fn new(observer: O) -> Self {
        let (state, held, outside) = (State::default(), None, Queue::default());
        let (before_loss, applied, known_since) = (0, 0, 0);
        let (until, stopped) = (None, false);
        Self { state, observer, held, before_loss, applied, known_since, outside, until, stopped }
    }

    /// Tells to stop at a moment, ns of `CLOCK_MONOTONIC`: what came later counts only where it tells
    /// what was held until then.
    pub fn stop_at(&mut self, until: Option<u64>) {
        self.until = until;
    }

    /// Whether it stopped before the end.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Tells what others marked in this timeline.
    pub fn expect(&mut self, marks: Queue) {
        self.outside = marks;
    }

    /// Tells which native stacks are those of PyTorch's allocator.
    pub fn learn(&mut self, stacks: impl IntoIterator<Item = u32>) {
        self.state.learn(stacks);
    }

    /// Plays one step.
    pub fn step(&mut self, step: Step<'_>) {
        if self.stopped && self.held.is_none() {
            return;
        }
        match step {
            Step::Lost(_) => {
                self.observer.lost(&self.state);
                self.before_loss = self.held.get_or_insert_default().len();
            }
            Step::Event(event) => {
                self.outside_until(event.record.time);
                match &mut self.held {
                    Some(held) if held.len() < MOST_HELD => held.push(*event),
                    Some(_) => {
                        self.give_up_waiting();
                        self.apply(event);
                    }
                    None => self.apply(event),
                }
            }
            Step::Live(live) => {
                if let Some(held) = self.held.take() {
                    if self.applied == 0 {
                        self.known_since = held.first().map_or(0, |event| event.record.time);
                    }
                    let (earlier, later) = held.split_at(self.before_loss.min(held.len()));
                    if self.stops_before(&held) {
                        return;
                    }
                    if !earlier.is_empty() {
                        // What was given back in the loss behind them is missing: as good as it
                        // gets, and the observer still takes it for not known.
                        self.state.resync_before(live, &held);
                        earlier.iter().for_each(|event| self.apply(event));
                        self.observer.lost(&self.state);
                    }
                    if self.stops_before(later) {
                        return;
                    }
                    self.state.resync_before(live, later);
                    self.observer.found(&self.state);
                    later.iter().for_each(|event| self.apply(event));
                }
                let is_later =
                    |one: &Live| self.is_later_than(one.entry.birth_us.saturating_mul(1000));
                self.stopped |= live.iter().any(is_later);
                if !self.stopped {
                    self.state.resync(live);
                    self.observer.resynced(&self.state);
                }
            }
        }
    }

    /// Whether all of `events`, behind a loss, came after the moment to stop at. Then nothing tells
    /// what was held in the loss.
    fn stops_before(&mut self, events: &[Event]) -> bool {
        self.stopped |= events.first().is_some_and(|event| self.is_later(event));
        self.stopped
    }

    fn is_later(&self, event: &Event) -> bool {
        self.is_later_than(event.record.time)
    }

    fn is_later_than(&self, time: u64) -> bool {
        self.until.is_some_and(|until| time > until)
    }

    /// What the observer has seen.
    pub fn seen(&self) -> &O {
        &self.observer
    }

    /// The observer.
    pub fn observer(&mut self) -> &mut O {
        &mut self.observer
    }

    /// Nothing more will come.
    pub fn close(&mut self) {
        self.outside_until(u64::MAX);
        self.give_up_waiting();
        self.observer.closed(&mut self.state);
    }

    /// What others marked up to `time`. It tells nothing of what is held, nor since when the
    /// timeline is known.
    fn outside_until(&mut self, time: u64) {
        let time = self.until.map_or(time, |until| until.min(time));
        while let Some(mark) = self.outside.until(time) {
            match &mut self.held {
                Some(held) if !held.is_empty() => {
                    // Behind a loss the first event tells since when something is known again.
                    self.before_loss += usize::from(self.before_loss == held.len());
                    held.push(mark);
                }
                _ => self.observer.applied(&mut self.state, &mark),
            }
        }
    }

    fn give_up_waiting(&mut self) {
        let held = self.held.take().unwrap_or_default();
        let (earlier, later) = held.split_at(self.before_loss.min(held.len()));
        earlier.iter().for_each(|event| self.apply(event));
        if !earlier.is_empty() {
            self.observer.lost(&self.state);
        }
        later.iter().for_each(|event| self.apply(event));
    }

    fn apply(&mut self, event: &Event) {
        if self.is_later(event) {
            self.stopped = true;
            return;
        }
        self.applied += 1;
        self.observer.coming(&self.state, event);
        self.state.apply(event);
        self.observer.applied(&mut self.state, event);
    }
}
