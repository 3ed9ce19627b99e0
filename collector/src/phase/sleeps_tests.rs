//! Sleeps: what was held before, when least was, and by whom.

use wire::{
    mark::{Kind, Mark},
    record::{Class, Record, Verb},
};

use super::*;
use crate::{
    ledger::Code,
    source::fake::record,
    state::{Site, Use},
};

const GIB: u64 = 1 << 30;
/// Ids of names.
const SLEEP: u32 = 1;
const STEP: u32 = 2;
const OFFLOAD: u32 = 3;

/// A timeline that is played as it is written, one event a second.
struct Play {
    phases: Phases,
    state: State,
    seconds: u64,
}

impl Play {
    fn new() -> Self {
        let code = |name: &str| Code {
            name: name.to_owned(),
            file: String::new(),
            lines: Vec::new(),
            first_line: 0,
            python: 0,
        };
        let mut tables = Tables::default();
        tables.codes.extend([
            (SLEEP, code("sleep")),
            (STEP, code("step ")),
            (OFFLOAD, code("offload")),
        ]);
        let mut phases = Phases::default();
        phases.learn(&tables);
        Self { phases, state: State::default(), seconds: 0 }
    }

    fn event(&mut self, mut record: Record) {
        self.seconds += 1;
        record.time = self.seconds * 1_000_000_000;
        let event = Event { position: self.seconds, record, extra: None };
        self.phases.coming(&self.state, &event);
        self.state.apply(&event);
        self.phases.applied(&self.state, &event);
    }

    fn mark(&mut self, kind: Kind, name: u32) {
        self.event(Mark { kind, name, number: None, domain: 0, range: 0 }.record(0, 1));
    }

    /// Takes linear memory; each number has addresses and a site of its own.
    fn take(&mut self, number: u32, bytes: u64) {
        self.event(record(Verb::Alloc, Class::Linear, u64::from(number) << 40, bytes, number));
    }

    fn give_back(&mut self, number: u32) {
        self.event(record(Verb::FreeBegin, Class::Linear, u64::from(number) << 40, 0, 0));
    }

    /// A block at the begin of that memory, of the site of its number and a hundred.
    fn lend(&mut self, number: u32, bytes: u64) {
        let at = u64::from(number) << 40;
        self.event(record(Verb::Alloc, Class::Block, at, bytes, number + 100));
    }

    fn slept(self) -> Vec<Slept> {
        self.phases.finish(&self.state).sleeps
    }
}

fn site(python: u32) -> Site {
    Site { python, ..Site::default() }
}

#[test]
fn a_sleep_tells_what_was_held_when_least_was_though_it_woke_up_inside() {
    let mut play = Play::new();
    play.take(1, 4 * GIB);
    play.take(2, 2 * GIB);
    play.lend(2, GIB);
    play.take(3, GIB);
    play.mark(Kind::Begin, SLEEP);
    play.give_back(1);
    play.take(4, 5 * GIB);
    play.give_back(3);
    play.mark(Kind::End, SLEEP);
    let slept = play.slept();
    let [one] = slept.as_slice() else { panic!("{slept:?}") };
    assert_eq!((one.name, one.times, one.least_before), (SLEEP, 1, None));
    assert_eq!((one.before, one.held.reserved), (7 * GIB, 3 * GIB));
    assert_eq!((one.open, one.marked, one.began), (false, false, 5_000_000_000));
    let by = one.held.by.as_ref().unwrap();
    let gib = Use { bytes: GIB, blocks: 1 };
    assert_eq!(by.blocks, [(site(102), gib)].into());
    assert_eq!(by.direct, [(site(3), gib)].into());
    assert_eq!((by.free.stranded, by.free.releasable), (GIB, 0));
}

#[test]
fn a_sleep_that_gives_nothing_back_is_told_with_who_held_it() {
    let mut play = Play::new();
    play.take(1, 4 * GIB);
    play.mark(Kind::Begin, SLEEP);
    play.mark(Kind::End, SLEEP);
    let slept = play.slept();
    assert_eq!((slept[0].before, slept[0].held.reserved), (4 * GIB, 4 * GIB));
    let used = Use { bytes: 4 * GIB, blocks: 1 };
    assert_eq!(slept[0].held.by.as_ref().unwrap().direct, [(site(1), used)].into());
}

#[test]
fn the_last_sleep_is_told_and_the_least_of_those_before() {
    let mut play = Play::new();
    play.take(1, GIB);
    for kept in [3, 2, 4] {
        play.take(2, kept * GIB);
        play.take(3, 9 * GIB);
        play.mark(Kind::Begin, SLEEP);
        play.give_back(3);
        play.mark(Kind::End, SLEEP);
        play.give_back(2);
    }
    let slept = play.slept();
    assert_eq!((slept[0].times, slept[0].least_before), (3, Some(3 * GIB)));
    assert_eq!(slept[0].held.reserved, 5 * GIB);
}

#[test]
fn a_mark_is_held_against_the_most_since_the_mark_before() {
    let mut play = Play::new();
    play.mark(Kind::Point, SLEEP);
    play.take(1, 2 * GIB);
    play.take(2, 3 * GIB);
    play.give_back(2);
    play.mark(Kind::Point, SLEEP);
    play.take(3, GIB);
    play.give_back(3);
    play.mark(Kind::Point, SLEEP);
    play.give_back(1);
    let slept = play.slept();
    assert_eq!((slept[0].times, slept[0].before, slept[0].held.reserved), (2, 3 * GIB, 2 * GIB));
    assert!(slept[0].marked && slept[0].held.by.is_some());
}

#[test]
fn marks_of_one_sleep_are_one_and_a_phase_before_it_takes_nothing_from_it() {
    let mut play = Play::new();
    play.take(1, 2 * GIB);
    play.take(2, 3 * GIB);
    play.mark(Kind::Begin, OFFLOAD);
    play.give_back(2);
    play.mark(Kind::End, OFFLOAD);
    for _ in 0..2 {
        play.mark(Kind::Point, SLEEP);
        play.take(3, GIB - 1);
        play.give_back(3);
    }
    let slept = play.slept();
    let marked = slept.iter().find(|one| one.marked).unwrap();
    assert_eq!((marked.times, marked.before, marked.held.reserved), (1, 5 * GIB, 2 * GIB));
}

#[test]
fn a_sleep_under_way_is_told_and_one_with_losses_is_not() {
    let mut play = Play::new();
    play.take(1, 2 * GIB);
    play.mark(Kind::Begin, STEP);
    play.mark(Kind::Begin, SLEEP);
    play.give_back(1);
    let (phases, state) = (play.phases.clone(), play.state.clone());
    let mut lossy = Play { phases, state, seconds: play.seconds };
    let slept = play.slept();
    assert_eq!((slept[0].open, slept[0].before, slept[0].held.reserved), (true, 2 * GIB, 0));
    lossy.phases.lost();
    lossy.mark(Kind::End, SLEEP);
    assert_eq!(lossy.slept(), []);
}

#[test]
fn a_little_is_told_without_looking_at_who_holds_it() {
    let mut play = Play::new();
    play.take(1, GIB - 1);
    play.mark(Kind::Begin, SLEEP);
    play.mark(Kind::End, SLEEP);
    assert_eq!(play.slept()[0].held, Held { reserved: GIB - 1, extents: 1, by: None });
}
