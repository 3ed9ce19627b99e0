//! A process's timeline played through: what it holds, and how it came to that.

use std::collections::BTreeMap;

use super::{Steps, Trend};
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
    /// How large the blocks were that PyTorch's allocator was asked for.
    pub requests: BTreeMap<Device, Requests>,
    /// `CLOCK_MONOTONIC` since when its timeline is known, ns; 0 if from the beginning.
    pub known_since: u64,
    /// Its phases.
    pub phases: Told,
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

#[cfg(test)]
mod tests {
    use wire::record::{Class, Verb};

    use super::*;
    use crate::{
        ledger::{Instance, Tables},
        outside::{Kind, Line},
        phase,
        process::Detectors,
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

    /// Bytes in blocks after each event; and for each loss nothing, for each end of one those bytes.
    #[derive(Default)]
    struct Watched {
        held: Vec<u64>,
        losses: Vec<Option<u64>>,
    }

    impl Observer for Watched {
        fn applied(&mut self, state: &mut State, _: &Event) {
            self.held.push(state.totals(0).allocated);
        }

        fn lost(&mut self, _: &State) {
            self.losses.push(None);
        }

        fn found(&mut self, state: &State) {
            self.losses.push(Some(state.totals(0).allocated));
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
        assert_eq!(player.observer().held, [512], "nothing is known yet");
        // In the gap 0x3000 and 0x5000 were taken, too, and 0x1000 given back.
        player.step(Step::Live(&[live(0x3000, 30), live(0x4000, 95), live(0x5000, 31)]));
        assert_eq!(player.observer().held, [512, 2 * 512, 3 * 512]);
        // From here on events count at once.
        player.step(Step::Event(&event(13, Verb::FreeBegin, 0x4000, 99_000, 4_000)));
        assert_eq!(player.observer().held.last(), Some(&(2 * 512)));
    }

    #[test]
    fn of_two_losses_with_no_live_set_between_what_is_held_follows_after_the_second() {
        let mut player = Player::<Watched>::default();
        player.step(Step::Lost(10));
        player.step(Step::Event(&event(11, Verb::Alloc, 0x4000, 50_000, 0)));
        player.step(Step::Lost(10));
        // 0x2000 was taken in the second loss, as was 0x3000.
        player.step(Step::Event(&event(22, Verb::FreeBegin, 0x2000, 90_000, 10_000)));
        player.step(Step::Event(&event(23, Verb::FreeBegin, 0x4000, 91_000, 41_000)));
        player.step(Step::Live(&[live(0x3000, 81)]));
        let Watched { held, losses } = std::mem::take(player.observer());
        assert_eq!(held, [512, 2 * 512, 512]);
        assert_eq!(losses, [None, None, None, Some(3 * 512)]);
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
    fn marks_from_outside_take_their_place_and_tell_nothing_of_what_is_known() {
        let mut tables = Tables::default();
        let line = |time, kind, name: &str| Line {
            time,
            instance: Instance([1, 0]),
            kind,
            name: name.to_owned(),
        };
        let mut player = Player::<Detectors>::default();
        let lines = vec![
            line(10_000, Kind::Begin, "before"),
            line(50_000, Kind::Point, "moment"),
            line(96_000, Kind::Begin, "rollout"),
            line(98_000, Kind::End, "rollout"),
            line(98_500, Kind::End, "before"),
            line(99_000, Kind::Begin, "last"),
        ];
        player.expect(Queue::new(lines, &mut tables));
        player.step(Step::Lost(10));
        player.step(Step::Event(&event(11, Verb::Alloc, 0x4000, 95_000, 0)));
        player.step(Step::Event(&event(12, Verb::Alloc, 0x5000, 97_000, 0)));
        player.step(Step::Live(&[live(0x3000, 30), live(0x4000, 95), live(0x5000, 97)]));
        let played = player.finish();
        assert_eq!(played.known_since, 95_000);
        assert_eq!(played.state.totals(0).allocated, 3 * 512);
        let names = played.phases.names(|id| phase::text(&tables, id));
        let told: Vec<(&str, [u64; 3])> = names
            .iter()
            .map(|(name, told)| (name.as_str(), [told.count, told.open, told.cut]))
            .collect();
        assert_eq!(told, [("before", [0, 0, 1]), ("last", [0, 1, 0]), ("rollout", [1, 0, 0])]);
        let rollout = &names["rollout"].devices[&0];
        assert_eq!((rollout.peak_allocated, rollout.survived.bytes), (3 * 512, 512));
        let moments = played.phases.moments(|id| phase::text(&tables, id));
        assert_eq!(moments["moment"].last, 50_000);
    }

    #[test]
    fn one_that_is_to_stop_tells_what_was_held_then_whatever_comes_later() {
        let held_at = |until| {
            let mut player = Player::<Detectors>::default();
            player.stop_at(Some(until));
            player.step(Step::Event(&event(0, Verb::Alloc, 0x1000, 1_000, 0)));
            player.step(Step::Event(&event(1, Verb::Alloc, 0x2000, 2_000, 0)));
            player.step(Step::Lost(10));
            // 0x3000 was taken in the loss, and 0x2000 given back.
            player.step(Step::Event(&event(12, Verb::FreeBegin, 0x1000, 90_000, 89_000)));
            player.step(Step::Event(&event(13, Verb::FreeBegin, 0x3000, 95_000, 5_000)));
            player.step(Step::Live(&[live(0x4000, 97)]));
            player.step(Step::Event(&event(14, Verb::Alloc, 0x5000, 99_000, 0)));
            player.step(Step::Live(&[]));
            (player.is_stopped(), player.finish().state.totals(0).allocated / 512)
        };
        assert_eq!(held_at(999), (true, 0));
        assert_eq!(held_at(1_000), (true, 1));
        assert_eq!(held_at(2_000), (true, 2));
        assert_eq!(held_at(50_000), (true, 2), "in the loss nobody knows more than before it");
        assert_eq!(held_at(90_000), (true, 1), "of 0x1000 and 0x3000");
        assert_eq!(held_at(95_000), (true, 0));
        assert_eq!(held_at(99_000), (false, 0));
    }

    #[test]
    fn out_of_memory_is_kept() {
        let mut player = Player::<Detectors>::default();
        player.step(Step::Event(&event(0, Verb::OutOfMemory, 0, 1, 0)));
        assert_eq!(player.finish().ooms.len(), 1);
    }
}
