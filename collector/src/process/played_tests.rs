//! Timelines made by hand, and what a player makes of them.

use wire::record::{Class, Verb};

use super::played::*;
use crate::{
    ledger::{Event, Instance, Live, Step, Tables},
    outside::{Kind, Line, Queue},
    phase,
    process::Detectors,
    source::fake::{entry, record},
    state::State,
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
