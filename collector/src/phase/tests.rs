//! Phases against a model that keeps everything, and the rules for marks that do not fit.

use std::collections::{BTreeMap, HashMap};

use wire::{
    mark::{Kind, Mark, NO_NAME},
    record::{Class, Record, Verb},
};

use super::*;
use crate::{
    ledger::Step,
    process::{Observer, Player},
    source::fake::record,
    state::{Site, Use},
};

const TID: u32 = 1;

#[derive(Default)]
struct Watched(Phases);

impl Observer for Watched {
    fn applied(&mut self, state: &mut State, event: &Event) {
        self.0.applied(state, event);
    }

    fn lost(&mut self, _: &State) {
        self.0.lost();
    }

    fn found(&mut self, state: &State) {
        self.0.found(state);
    }

    fn resynced(&mut self, state: &State) {
        self.0.resynced(state);
    }
}

/// A timeline that is played as it is written.
#[derive(Default)]
struct Play {
    player: Player<Watched>,
    position: u64,
}

impl Play {
    fn event(&mut self, record: Record) {
        self.position += 1;
        let event = Event { position: self.position, record, extra: None };
        self.player.step(Step::Event(&event));
    }

    fn mark(&mut self, time: u64, tid: u32, kind: Kind, name: u32, domain: u16) {
        let mark = Mark { kind, name, number: None, domain, range: name.into() };
        self.event(mark.record(time, tid));
    }

    fn block(&mut self, time: u64, verb: Verb, address: u64, size: u64, site: u32) {
        let mut record = record(verb, Class::Block, address, size, site);
        (record.time, record.aux) = (time, 0);
        self.event(record);
    }

    fn told(mut self) -> BTreeMap<String, Name> {
        std::mem::take(&mut self.player.observer().0)
            .finish(&State::default())
            .names(|id| id.to_string())
    }
}

/// Numbers that look random, the same in each run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = wire::mix(self.0.wrapping_add(0x9e37_79b9_7f4a_7c15));
        self.0 % sides
    }
}

/// A phase as the model knows it: everything that was held at each moment of it.
struct Known {
    name: u32,
    born: Vec<u64>,
    peak: u64,
    at_peak: BTreeMap<Site, Use>,
}

/// What was held, by address, and who took it.
type Held = HashMap<u64, (u64, u32)>;

fn by_site<'a>(held: impl Iterator<Item = &'a (u64, u32)>) -> BTreeMap<Site, Use> {
    let mut sites: BTreeMap<Site, Use> = BTreeMap::new();
    for (size, python) in held {
        let used = sites.entry(Site { native: 0, python: *python }).or_default();
        used.bytes += size;
        used.blocks += 1;
    }
    sites
}

fn rise(open: &mut [Known], held: &Held) {
    let sum: u64 = held.values().map(|(size, _)| size).sum();
    for known in open.iter_mut().filter(|known| sum > known.peak) {
        (known.peak, known.at_peak) = (sum, by_site(held.values()));
    }
}

/// What the model says of a phase: its peak, what was live then, and what survived it.
type Truth = (u64, BTreeMap<Site, Use>, BTreeMap<Site, Use>);

/// Ranges that begin and end in any order: what is told of them, and the model's word.
fn random(seed: u64) -> (BTreeMap<String, Name>, BTreeMap<String, Truth>) {
    let (mut dice, mut play, mut held) = (Dice(seed), Play::default(), Held::new());
    let mut open: Vec<Known> = Vec::new();
    let mut ended = BTreeMap::new();
    for time in 1..800_u64 {
        match dice.roll(10) {
            0 => {
                let (peak, at_peak) = (0, BTreeMap::new());
                open.push(Known { name: time as u32, born: Vec::new(), peak, at_peak });
                play.mark(time, TID, Kind::Start, time as u32, 0);
                rise(&mut open, &held);
            }
            1 if !open.is_empty() => {
                let known = open.remove(dice.roll(open.len() as u64) as usize);
                play.mark(time, TID, Kind::Stop, known.name, 0);
                let born = known.born.iter().filter_map(|address| held.get(address));
                let truth = (known.peak, known.at_peak, by_site(born));
                ended.insert(known.name.to_string(), truth);
            }
            2..6 => {
                let (address, site) = (time << 20, 1 + dice.roll(5) as u32);
                let size = 512 * (1 + dice.roll(100));
                held.insert(address, (size, site));
                open.iter_mut().for_each(|known| known.born.push(address));
                play.block(time, Verb::Alloc, address, size, site);
                rise(&mut open, &held);
            }
            _ if !held.is_empty() => {
                let mut addresses: Vec<u64> = held.keys().copied().collect();
                addresses.sort_unstable();
                let address = addresses[dice.roll(addresses.len() as u64) as usize];
                let (size, site) = held.remove(&address).unwrap();
                play.block(time, Verb::FreeBegin, address, size, site);
            }
            _ => {}
        }
    }
    (play.told(), ended)
}

#[test]
fn what_is_told_of_ranges_in_any_order_is_what_a_model_knows() {
    let mut checked = 0;
    for seed in 0..200 {
        let (told, truth) = random(seed);
        for (name, (peak, at_peak, survivors)) in truth {
            let phase = &told[&name];
            assert_eq!((phase.count, phase.cut), (1, 0), "seed {seed}, phase {name}");
            let Some(device) = phase.devices.get(&0) else {
                assert_eq!(peak, 0, "seed {seed}, phase {name}");
                continue;
            };
            assert_eq!(device.peak_allocated, peak, "seed {seed}, phase {name}");
            let sites: BTreeMap<Site, Use> = device.at_peak.iter().copied().collect();
            assert_eq!(sites, at_peak, "seed {seed}, phase {name}");
            let sites: BTreeMap<Site, Use> = device.survivors.iter().copied().collect();
            assert_eq!(sites, survivors, "seed {seed}, phase {name}");
            let bytes: u64 = survivors.values().map(|used| used.bytes).sum();
            assert_eq!(device.survived.bytes, bytes);
            checked += 1;
        }
    }
    assert!(checked > 5_000, "{checked}");
}

#[test]
fn a_name_ends_its_own_phase_and_what_was_begun_inside() {
    let mut play = Play::default();
    for (time, kind, name) in [
        (10, Kind::Begin, 1),
        (20, Kind::Begin, 2),
        (30, Kind::Begin, 3),
        (35, Kind::End, 9),
        (50, Kind::End, 1),
        (60, Kind::End, 2),
    ] {
        play.mark(time, TID, kind, name, 0);
    }
    let phases = std::mem::take(&mut play.player.observer().0).finish(&State::default());
    assert_eq!(phases.ends_without_begin, 2);
    let told = phases.names(|id| id.to_string());
    let of = |name: &str| (told[name].count, told[name].time, told[name].unended);
    assert_eq!([of("1"), of("2"), of("3")], [(1, 40, 0), (1, 30, 1), (1, 20, 1)]);
}

#[test]
fn threads_and_domains_do_not_end_each_others_ranges() {
    let mut play = Play::default();
    for (time, tid, kind, name, domain) in [
        (1, 1, Kind::Push, 1, 0),
        (2, 2, Kind::Push, 2, 0),
        (3, 1, Kind::Push, 3, 7),
        (5, 1, Kind::Pop, NO_NAME, 0),
        (6, 1, Kind::Pop, NO_NAME, 0),
        (8, 1, Kind::Pop, NO_NAME, 7),
        (9, 2, Kind::Pop, NO_NAME, 0),
    ] {
        play.mark(time, tid, kind, name, domain);
    }
    let phases = std::mem::take(&mut play.player.observer().0).finish(&State::default());
    assert_eq!(phases.ends_without_begin, 1);
    let told = phases.names(|id| id.to_string());
    assert_eq!(["1", "2", "3"].map(|name| told[name].time), [4, 7, 5]);
}

#[test]
fn a_loss_cuts_what_is_open_and_what_comes_after_it_is_told() {
    let mut play = Play::default();
    play.mark(1_000, TID, Kind::Push, 1, 0);
    play.block(2_000, Verb::Alloc, 1 << 20, 512, 0);
    play.player.step(Step::Lost(5));
    play.mark(50_000, TID, Kind::Pop, NO_NAME, 0);
    play.mark(60_000, TID, Kind::Push, 2, 0);
    play.block(61_000, Verb::Alloc, 2 << 20, 2_048, 0);
    play.mark(70_000, TID, Kind::Pop, NO_NAME, 0);
    // In the gap a block of 1,024 bytes was taken, and the first is still there.
    let live = [(1, 512, 2), (2, 2_048, 61), (3, 1_024, 30)].map(|(address, size, birth_us)| {
        let entry = crate::source::fake::entry(Class::Block, address << 20, size, 0);
        let entry = wire::live::Entry { birth_us, ..entry };
        crate::ledger::Live { index: 0, freeing: false, entry }
    });
    play.player.step(Step::Live(&live));
    let told = play.told();
    assert_eq!((told["1"].count, told["1"].cut), (0, 1));
    let device = &told["2"].devices[&0];
    assert_eq!((told["2"].count, device.peak_allocated), (1, 512 + 1_024 + 2_048));
    assert_eq!(device.survived, Use { bytes: 2_048, blocks: 1 });
}

#[test]
fn a_phase_that_began_between_two_losses_is_cut_by_the_second() {
    let mut play = Play::default();
    play.player.step(Step::Lost(5));
    play.mark(1_000, TID, Kind::Push, 1, 0);
    // Its pop is lost, and what is held is known only after that.
    play.player.step(Step::Lost(5));
    play.player.step(Step::Live(&[]));
    play.mark(2_000, TID, Kind::Push, 1, 0);
    play.mark(3_000, TID, Kind::Pop, NO_NAME, 0);
    let told = play.told();
    assert_eq!((told["1"].count, told["1"].cut, told["1"].open), (1, 1, 0));
}

#[test]
fn a_loss_whose_end_is_waited_for_too_long_ends_with_the_next_live_table() {
    let mut play = Play::default();
    play.mark(1, TID, Kind::Point, 9, 0);
    play.player.step(Step::Lost(5));
    for time in 2..600_000 {
        play.mark(time, TID, Kind::Point, 9, 0);
    }
    let live = |address: u64| {
        let entry = crate::source::fake::entry(Class::Block, address, 512, 0);
        [crate::ledger::Live { index: 0, freeing: false, entry }]
    };
    play.player.step(Step::Live(&live(1 << 20)));
    play.mark(600_001, TID, Kind::Begin, 1, 0);
    // A live table in the midst of it, with no loss before, is none of its business.
    play.player.step(Step::Live(&live(1 << 20)));
    play.mark(600_002, TID, Kind::End, 1, 0);
    let told = play.told();
    assert_eq!((told["1"].count, told["1"].cut), (1, 0));
    assert_eq!(told["1"].devices[&0].peak_allocated, 512);
}

#[test]
fn a_phase_that_is_open_at_the_end_tells_its_peak() {
    let mut play = Play::default();
    play.mark(1, TID, Kind::Begin, 1, 0);
    play.block(2, Verb::Alloc, 1 << 20, 512, 0);
    play.block(3, Verb::FreeBegin, 1 << 20, 512, 0);
    let told = play.told();
    assert_eq!((told["1"].count, told["1"].open, told["1"].first), (0, 1, Some(1)));
    assert_eq!(told["1"].devices[&0].peak_allocated, 512);
}

#[test]
fn beginning_without_end_costs_no_more_than_so_much() {
    let mut play = Play::default();
    let begins = MOST_OPEN as u64 + 5;
    for time in 0..begins {
        play.mark(time, (time % 3_000) as u32, Kind::Begin, 1, 0);
        play.block(time, Verb::Alloc, (time + 1) << 20, 512, 0);
    }
    let told = play.told();
    assert_eq!((told["1"].cut, told["1"].open), (MOST_OPEN as u64, 5));
}

#[test]
fn a_few_numbers_are_phases_of_their_own_and_many_are_one() {
    let number = |play: &mut Play, number: u64, time| {
        for (kind, time) in [(Kind::Begin, time), (Kind::End, time + 1)] {
            let mark = Mark { kind, name: 1, number: Some(number), domain: 0, range: 0 };
            play.event(mark.record(time, TID));
        }
    };
    let mut few = Play::default();
    (0..16).for_each(|n| number(&mut few, n, 2 * n));
    assert_eq!(few.told().len(), 16);
    let mut many = Play::default();
    (0..100).for_each(|n| number(&mut many, n, 2 * n));
    let told = many.told();
    let all = &told["1*"];
    assert_eq!((told.len(), all.count, all.time, all.first), (1, 100, 100, Some(0)));
}

fn name(count: u64, time: u64, first: u64, last: u64) -> Name {
    Name { count, time, first: Some(first), last, ..Name::default() }
}

#[test]
fn the_step_is_the_longest_phase_that_tiles_the_run() {
    let of = |names: &[(&str, Name)]| {
        let names = names.iter().map(|(name, told)| ((*name).to_owned(), told.clone()));
        steps(&names.collect()).map(|steps| steps.name)
    };
    let step = || ("step", name(100, 9_000, 0, 10_000));
    let inside = ("forward", name(200, 8_500, 0, 10_000));
    let warm_up = ("warm-up", name(50, 1_000, 0, 1_000));
    let part = ("load", name(1, 400, 0, 400));
    assert_eq!(of(&[step(), inside, warm_up.clone(), part]).as_deref(), Some("step"));
    // Too few, with too much in between, at once in several threads, only at the run's begin.
    assert_eq!(of(&[("epoch", name(4, 10_000, 0, 10_000))]), None);
    assert_eq!(of(&[("request", name(100, 5_000, 0, 10_000))]), None);
    assert_eq!(of(&[("worker", name(100, 30_000, 0, 10_000))]), None);
    assert_eq!(of(&[warm_up, ("rest", name(1, 9_000, 1_000, 10_000))]), None);
    assert_eq!(of(&[]), None);
}
