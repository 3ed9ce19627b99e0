//! Memory that goes between processes, as one of them records it.

use wire::{
    live::{Entry, FLAG_RELEASED},
    record::{
        Class::{
            self, Block, Handle, Identity, ImportedBlock, ImportedHandle, IpcImport, Linear,
            Mapping,
        },
        Verb,
    },
};

use super::script::{MIB, STEP, Script};
use crate::{
    ledger::Live,
    state::{Share, Site, State},
};

const NAME: u64 = 0x0123_4567_89ab_cdef;

fn export(script: &mut Script, class: Class, address: u64, name: u64) {
    script.push(Verb::Export, class, address, 0, name);
}

fn open(script: &mut Script, address: u64, name: u64) {
    script.push(Verb::Alloc, IpcImport, address, MIB, name);
}

fn shares(state: &State) -> Vec<Share> {
    state.shares().collect()
}

fn only(state: &State) -> Share {
    let [share] = &shares(state)[..] else { panic!("{:?}", shares(state)) };
    share.clone()
}

/// The live table after a script, with an identity beside each thing at `address`.
fn live_with_identity(script: &Script, class: Class, address: u64, birth: u64) -> Vec<Live> {
    let mut live = script.live();
    let entry = Entry {
        address,
        class: Identity,
        device: 0,
        flags: 0,
        size: 0,
        native: NAME as u32,
        python: (NAME >> 32) as u32,
        birth_us: birth / 1000,
        link: class as u16,
    };
    live.push(Live { index: live.len() as u32, freeing: false, entry });
    live
}

#[test]
fn what_was_handed_out_is_of_whose_blocks_lie_in_it_and_its_end_is_kept() {
    let mut script = Script::default();
    script.python = 1;
    script.take(Linear, 100 * MIB, 20 * MIB);
    script.python = 2;
    script.take(Block, 100 * MIB, MIB);
    script.python = 3;
    script.take(Block, 101 * MIB, 12 * MIB);
    export(&mut script, Linear, 100 * MIB, NAME);
    export(&mut script, Linear, 100 * MIB, NAME);
    let state = script.state();
    let share = only(&state);
    assert_eq!((share.identity, share.size, share.times), (NAME, 20 * MIB, 2));
    assert_eq!((share.birth, share.since, share.ended), (STEP, 4 * STEP, None));
    assert_eq!(state.lenders().of(&share), Site { native: 0, python: 3 });
    script.give(Linear, 100 * MIB, 20 * MIB);
    assert_eq!(only(&script.state()).ended, Some(6 * STEP));
    script.failed(Linear, 100 * MIB, 20 * MIB);
    assert_eq!(only(&script.state()).ended, None, "the free failed");
}

#[test]
fn what_is_open_twice_stays_until_it_was_closed_twice() {
    let mut script = Script::default();
    open(&mut script, 100 * MIB, NAME);
    let first = script.events[0].record.time;
    open(&mut script, 100 * MIB, NAME);
    assert_eq!(script.state().totals(0).imported, MIB, "it is the same memory");
    script.give(IpcImport, 100 * MIB, MIB);
    let share = only(&script.state());
    assert_eq!((share.times, share.closes, share.is_held()), (2, 1, true));
    assert_eq!(script.state().totals(0).imported, MIB);
    let mut failing = Script::default();
    failing.events.clone_from(&script.events);
    failing.failed(IpcImport, 100 * MIB, MIB);
    assert_eq!(only(&failing.state()).closes, 0);
    // The other one: its age says when it was opened.
    let age = 4 * STEP - first;
    script.push(Verb::FreeBegin, IpcImport, 100 * MIB, MIB, 0);
    script.events.last_mut().unwrap().record.aux = age;
    let share = only(&script.state());
    assert_eq!((share.times, share.closes, share.ended), (2, 2, Some(4 * STEP)));
    assert_eq!(script.state().totals(0).imported, 0);
}

#[test]
fn a_handle_is_handed_out_until_its_last_mapping_goes_and_an_imported_one_shows_its_size_then() {
    let mut script = Script::default();
    script.python = 1;
    script.take(Handle, 7, 2 * MIB).map(100 * MIB, 2 * MIB, 7);
    script.python = 2;
    script.take(Block, 100 * MIB, MIB);
    export(&mut script, Handle, 7, NAME);
    let state = script.state();
    assert_eq!(state.lenders().of(&only(&state)), Site { native: 0, python: 2 });
    script.give(Handle, 7, 2 * MIB);
    assert!(only(&script.state()).is_held());
    script.give(Mapping, 100 * MIB, 2 * MIB);
    assert_eq!(only(&script.state()).ended, Some(6 * STEP));

    let mut importer = Script::default();
    importer.push(Verb::Alloc, ImportedHandle, 9, 0, NAME);
    assert_eq!(only(&importer.state()).size, 0);
    importer.map(300 * MIB, 2 * MIB, 9);
    assert_eq!(only(&importer.state()).size, 2 * MIB);
}

#[test]
fn a_handle_that_only_its_mapping_keeps_is_handed_out_or_open_as_before() {
    let mut script = Script::default();
    script.python = 1;
    script.take(Handle, 7, 2 * MIB).map(100 * MIB, 2 * MIB, 7);
    script.python = 2;
    script.take(Block, 100 * MIB, MIB);
    export(&mut script, Handle, 7, NAME);
    let mut live = live_with_identity(&script, Handle, 7, 4 * STEP);
    let handle = &mut live[0].entry;
    (handle.flags, handle.link) = (FLAG_RELEASED, 1);
    script.give(Handle, 7, 2 * MIB);
    let mut state = script.state();
    assert_eq!(shares(&State::from_live(&live)), shares(&state));
    state.resync(&live);
    assert_eq!(shares(&state), shares(&script.state()));
    let share = only(&state);
    assert_eq!(
        (share.is_held(), state.lenders().of(&share)),
        (true, Site { native: 0, python: 2 })
    );

    let mut importer = Script::default();
    importer.push(Verb::Alloc, ImportedHandle, 9, 0, NAME);
    importer.map(300 * MIB, 2 * MIB, 9).give(ImportedHandle, 9, 2 * MIB);
    let share = only(&importer.state());
    assert_eq!((share.size, share.is_held()), (2 * MIB, true));
    importer.give(Mapping, 300 * MIB, 2 * MIB);
    assert!(!only(&importer.state()).is_held());
}

#[test]
fn an_imported_handle_that_was_closed_is_as_large_as_it_was() {
    let mut script = Script::default();
    script.push(Verb::Alloc, ImportedHandle, 9, 0, NAME);
    script.map(300 * MIB, 2 * MIB, 9);
    let mut gap = script.state();
    gap.resync(&[]);
    script.give(Mapping, 300 * MIB, 2 * MIB).give(ImportedHandle, 9, 2 * MIB);
    for state in [script.state(), gap] {
        let share = only(&state);
        assert_eq!((share.size, share.is_held()), (2 * MIB, false));
    }
}

#[test]
fn a_live_set_says_the_same_as_the_timeline_and_what_it_lacks_has_ended() {
    let mut script = Script::default();
    script.take(Linear, 100 * MIB, 2 * MIB);
    export(&mut script, Linear, 100 * MIB, NAME);
    let mut state = script.state();
    let live = live_with_identity(&script, Linear, 100 * MIB, 2 * STEP);
    assert_eq!(shares(&State::from_live(&live)), shares(&state));
    state.resync(&live);
    assert_eq!(shares(&state), shares(&script.state()));
    state.resync(&[]);
    assert_eq!(only(&state).ended, Some(2 * STEP));
    // An identity older than the memory at its address is not that memory's.
    let stale = live_with_identity(&script, Linear, 100 * MIB, STEP / 2);
    assert_eq!(shares(&State::from_live(&stale)), []);

    let mut importer = Script::default();
    open(&mut importer, 500 * MIB, NAME);
    let live = live_with_identity(&importer, IpcImport, 500 * MIB, STEP);
    assert_eq!(shares(&State::from_live(&live)), shares(&importer.state()));
    let mut twice = importer.state();
    twice.resync(&live);
    importer.events.iter().for_each(|event| twice.apply(event));
    assert_eq!(shares(&twice), shares(&importer.state()), "the event is in the live set already");
}

#[test]
fn a_block_of_anothers_pool_is_open_until_it_is_freed() {
    let mut importer = Script::default();
    importer.push(Verb::Alloc, ImportedBlock, 700 * MIB, 8 * MIB, NAME);
    let share = only(&importer.state());
    assert_eq!((share.identity, share.size, share.is_import()), (NAME, 8 * MIB, true));
    let live = live_with_identity(&importer, ImportedBlock, 700 * MIB, STEP);
    assert_eq!(shares(&State::from_live(&live)), shares(&importer.state()));
    importer.give(ImportedBlock, 700 * MIB, 8 * MIB);
    let share = only(&importer.state());
    assert_eq!((share.times, share.closes, share.is_held()), (1, 1, false));
}

#[test]
fn a_handle_that_was_released_and_got_a_reference_again_can_be_handed_out_and_outlives_its_mapping()
{
    let mut script = Script::default();
    script.take(Handle, 7, 2 * MIB).map(100 * MIB, 2 * MIB, 7).give(Handle, 7, 2 * MIB);
    script.push(Verb::Retained, Handle, 7, 2 * MIB, 0);
    export(&mut script, Handle, 7, NAME);
    script.give(Mapping, 100 * MIB, 2 * MIB);
    let state = script.state();
    assert_eq!((state.totals(0).reserved(), only(&state).is_held()), (2 * MIB, true));
    script.give(Handle, 7, 2 * MIB);
    let state = script.state();
    assert_eq!((state.totals(0).reserved(), only(&state).ended), (0, Some(7 * STEP)));
    // Of what is gone a reference says nothing.
    script.push(Verb::Retained, Handle, 7, 2 * MIB, 0);
    assert_eq!(script.state().totals(0).reserved(), 0);
}

#[test]
fn what_is_opened_and_closed_in_each_step_of_a_long_job_is_counted_to_the_end() {
    let mut script = Script::default();
    for _ in 0..5000 {
        open(&mut script, 100 * MIB, NAME);
        script.give(IpcImport, 100 * MIB, MIB);
    }
    open(&mut script, 100 * MIB, NAME);
    let mut again = script.state();
    again.resync(&live_with_identity(&script, IpcImport, 100 * MIB, 10_001 * STEP));
    for state in [script.state(), again] {
        let all = shares(&state);
        let sum = |of: fn(&Share) -> u64| all.iter().map(of).sum::<u64>();
        assert_eq!((sum(|share| share.times), sum(|share| share.closes)), (5001, 5000));
        assert_eq!(all.iter().filter(|share| share.is_held()).count(), 1);
        // Of those that are only counted nobody knows when they were open.
        let long = |share: &&Share| share.ended.is_some_and(|ended| ended > share.since + STEP);
        assert_eq!(all.iter().filter(long).count(), 0);
    }
}

#[test]
fn a_damaged_set_with_one_thing_many_times_and_many_names_does_not_multiply_them() {
    let mut script = Script::default();
    script.take(Linear, 100 * MIB, MIB);
    let thing = script.live()[0];
    let names = (0..3000).map(|name| {
        let mut one = live_with_identity(&script, Linear, 100 * MIB, STEP)[1];
        (one.entry.native, one.entry.python) = (name, 0);
        one
    });
    let live: Vec<Live> = std::iter::repeat_n(thing, 3000).chain(names).collect();
    // Each thing with each name, as often as it is there, would be 27 thousand million.
    assert_eq!(State::from_live(&live).shares().count(), 3000);
}
