//! The joining of exports and imports against a naive one, over random processes.

mod made;

use std::collections::{BTreeMap, BTreeSet};

use collector::{
    ledger::{End, Event, Instance, Live},
    process::Process,
    sharing::{Import, Shared},
    state::State,
};
use made::{MIB, TORCH, live, process};
use wire::{
    mix,
    record::{Class, NO_STACK, Record, Verb},
};

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0) % limit
    }
}

/// Something shared since `at`, in microseconds, and the identity beside it.
fn shared(class: Class, address: u64, size: u64, name: u64, at: u64) -> [Live; 2] {
    let (mut thing, mut identity) =
        (live(class, address, size, TORCH), live(Class::Identity, address, 0, name as u32));
    thing.entry.birth_us = if class == Class::IpcImport { at } else { 0 };
    (identity.entry.link, identity.entry.birth_us) = (class as u16, at);
    identity.entry.python = 0;
    [thing, identity]
}

/// Something shared of `class` that is given back or closed at `at`, after `age`.
fn gave_back(class: Class, address: u64, size: u64, at: u64, age: u64) -> Event {
    let record = Record {
        time: at * 1000,
        address,
        size,
        aux: age * 1000,
        verb: Verb::FreeBegin,
        class,
        api: 0,
        device: 0,
        result: 0,
        tid: 1,
        flags: 0,
        native: TORCH,
        python: NO_STACK,
    };
    Event { position: 0, record, extra: None }
}

/// A process that hands out and opens things of two sizes and three names, the first of which is none.
fn random_process(pid: u32, random: &mut Random) -> Process {
    let (mut held, mut ends) = (Vec::new(), Vec::new());
    for place in 1..=random.below(30) {
        let (size, name, at) = ((1 + random.below(2)) * MIB, random.below(3), 1 + random.below(60));
        let class = if random.below(2) == 0 { Class::Linear } else { Class::IpcImport };
        held.extend(shared(class, place * 4 * MIB, size, name, at));
        if random.below(2) == 0 {
            let later = 1 + random.below(10);
            let age = if class == Class::Linear { at + later } else { later };
            ends.push(gave_back(class, place * 4 * MIB, size, at + later, age));
        }
    }
    let mut process = process(pid, End::Running);
    let mut state = State::from_live(&held);
    ends.iter().for_each(|end| state.apply(end));
    process.played.state = state;
    process
}

/// The export of an import by name: of the newest that is older, and another's.
fn by_name(all: &Shared, import: &Import) -> Option<usize> {
    all.exports.iter().rposition(|export| {
        export.share.identity == import.share.identity
            && export.owner != import.holder
            && export.share.since <= import.share.since
    })
}

/// The likely export, if all there have one owner: the oldest there that this one has not opened, else
/// that which it closed first.
fn likely(
    all: &Shared,
    import: &Import,
    opened: &BTreeMap<(Instance, usize), Option<u64>>,
) -> Option<usize> {
    let there = |at: &usize| {
        let export = &all.exports[*at];
        (export.share.identity, export.share.size) == (0, import.share.size)
            && export.owner != import.holder
            && export.share.since <= import.share.since
            && export.share.ended.is_none_or(|ended| ended > import.share.since)
    };
    let there: Vec<usize> = (0..all.exports.len()).filter(there).collect();
    let owners: BTreeSet<Instance> = there.iter().map(|at| all.exports[*at].owner).collect();
    let known = |at: &usize| opened.get(&(import.holder, *at));
    let first = there.iter().copied().find(|at| known(at).is_none());
    let closed = there.iter().filter_map(|at| known(at)?.map(|ended| (ended, *at)));
    let again = closed.filter(|(ended, _)| *ended <= import.share.since).min();
    first.or(again.map(|(_, at)| at)).filter(|_| owners.len() == 1)
}

#[test]
fn imports_are_of_the_exports_that_a_naive_search_finds() {
    let (mut named, mut guessed, mut again) = (0, 0, 0);
    for seed in 0..300 {
        let mut random = Random(seed);
        let processes: Vec<Process> =
            (1..=2 + random.below(2)).map(|pid| random_process(pid as u32, &mut random)).collect();
        let all = Shared::of(&processes, &BTreeMap::new());
        let mut opened = BTreeMap::new();
        for (at, import) in all.imports.iter().enumerate() {
            let is_named = import.share.identity != 0;
            let want = if is_named { by_name(&all, import) } else { likely(&all, import, &opened) };
            assert_eq!(import.of, want, "seed {seed}, import {at}");
            assert_eq!(import.likely, want.is_some() && !is_named);
            if let Some(of) = want {
                assert!(all.exports[of].opened.contains(&at));
                if is_named {
                    named += 1;
                    continue;
                }
                let before = opened.insert((import.holder, of), import.share.ended);
                if before.is_some() { again += 1 } else { guessed += 1 }
            }
        }
    }
    assert!(named > 300 && guessed > 100 && again > 20, "{named} {guessed} {again}");
}
