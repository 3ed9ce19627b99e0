//! What keeps memory without addresses of its own, and memory that is beside the reserved.

use wire::record::{
    Class::{
        Array, Binding, External, Graph, Handle, ImportedBlock, ImportedHandle, ImportedPool,
        Mapping, Multicast, View,
    },
    Verb,
};

use super::script::{MIB, STEP, Script};
use crate::state::{Kind, Missing, State, Totals};

/// The handle of a multicast object.
const OBJECT: u64 = 1 << 40;

/// The same after the last event, however the state was come by.
fn totals(script: &Script) -> Totals {
    let played = script.state().totals(0);
    assert_eq!(State::from_live(&script.live()).totals(0), played);
    let mut again = script.state();
    again.resync(&script.live());
    assert_eq!(again.totals(0), played);
    played
}

fn bind(script: &mut Script, at: u64, size: u64, handle: u64) {
    script.push(Verb::Alloc, Binding, OBJECT + at, size, handle);
}

#[test]
fn a_multicast_object_has_no_memory_and_keeps_what_is_bound() {
    let mut script = Script::default();
    script.take(Handle, 7, 20 * MIB).take(Multicast, OBJECT, 40 * MIB);
    script.map(1000 * MIB, 40 * MIB, OBJECT);
    assert_eq!(totals(&script).reserved(), 20 * MIB);
    let state = script.state();
    let shown = state.segments(0).iter().map(|segment| segment.physical()).sum::<u64>();
    assert_eq!(shown, 20 * MIB, "its mapping shows no bytes of its own");
    bind(&mut script, 0, 10 * MIB, 7);
    bind(&mut script, 10 * MIB, 10 * MIB, 7);
    script.give(Handle, 7, 20 * MIB).give(Binding, OBJECT, 10 * MIB);
    assert_eq!(script.state().totals(0).reserved(), 20 * MIB, "half of it is bound");
    script.give(Binding, OBJECT + 10 * MIB, 10 * MIB);
    assert_eq!(totals(&script).reserved(), 0);
}

#[test]
fn memory_bound_by_its_address_is_found_where_it_is_mapped() {
    let mut script = Script::default();
    script.take(Handle, 7, 20 * MIB).map(1000 * MIB, 20 * MIB, 7);
    bind(&mut script, 0, 20 * MIB, 0);
    script.events.last_mut().unwrap().extra = Some([1000 * MIB, 0, 0]);
    script.give(Handle, 7, 20 * MIB).give(Mapping, 1000 * MIB, 20 * MIB);
    assert_eq!(script.state().totals(0).reserved(), 20 * MIB);
    script.give(Binding, OBJECT, 20 * MIB);
    assert_eq!(script.state().totals(0).reserved(), 0);
    bind(&mut script, 0, 20 * MIB, 99);
    assert_eq!(totals(&script).reserved(), 0, "what nobody knows counts nothing");
}

#[test]
fn arrays_are_reserved_and_what_others_own_is_beside() {
    let mut script = Script::default();
    script.take(Array, 0xa1, 3 * MIB).take(Array, 0xa2, 0);
    script.take(External, 0xe1, 5 * MIB).take(View, 500 * MIB, MIB);
    script.take(ImportedPool, 0x900, 0).take(ImportedBlock, 600 * MIB, 7 * MIB);
    let held = totals(&script);
    assert_eq!((held.reserved(), held.array, held.imported), (3 * MIB, 3 * MIB, 12 * MIB));
    let kinds: Vec<Kind> = script.state().segments(0).iter().map(|one| one.kind).collect();
    assert_eq!(kinds, [Kind::Imported, Kind::Array, Kind::Imported], "none without bytes");
    script.give(External, 0xe1, 5 * MIB).give(View, 500 * MIB, MIB);
    script.give(ImportedBlock, 600 * MIB, 7 * MIB).give(Array, 0xa1, 3 * MIB);
    assert_eq!(totals(&script), Totals::default());
}

#[test]
fn the_memory_of_graphs_is_what_was_read_last() {
    let mut script = Script::default();
    script.native = 5;
    for size in [2 * MIB, 6 * MIB, 4 * MIB] {
        script.push(Verb::Reading, Graph, 1, size, 0);
    }
    let state = script.state();
    let held = state.totals(0);
    assert_eq!((held.reserved(), held.graph), (4 * MIB, 4 * MIB));
    let sites: Vec<(u32, u64)> =
        state.sites(0).iter().map(|(site, used)| (site.native, used.bytes)).collect();
    assert_eq!(sites, [(5, 4 * MIB)], "who made it what it is, and no more than it is");
    // A ring that begins after the first readings, and a live table that knows the last.
    let mut live = Script::default();
    live.take(Graph, 1, 4 * MIB);
    let tail = &script.events[1..];
    let mut later = State::at_start(&live.live(), tail);
    tail.iter().for_each(|event| later.apply(event));
    assert_eq!(later.totals(0).graph, 4 * MIB);
    assert_eq!(later.now(), 3 * STEP);
}

/// What lacks what, in MiB.
fn loose(state: &State) -> Vec<(Missing, u64)> {
    state.loose(0).map(|one| (one.missing, one.bytes / MIB)).collect()
}

#[test]
fn memory_is_loose_while_it_has_no_addresses_or_no_name() {
    let mut script = Script::default();
    script.take(Handle, 7, 20 * MIB).take(Handle, 8, 30 * MIB).take(Handle, 9, 40 * MIB);
    script.take(ImportedHandle, 10, 5 * MIB).take(Multicast, OBJECT, 90 * MIB);
    script.map(1000 * MIB, 20 * MIB, 7).map(2000 * MIB, 30 * MIB, 8);
    assert_eq!(loose(&script.state()), [(Missing::Mapping, 40)]);
    bind(&mut script, 0, 40 * MIB, 9);
    assert_eq!(loose(&script.state()), []);
    script.give(Handle, 8, 30 * MIB).give(Handle, 9, 40 * MIB).give(Mapping, 1000 * MIB, 20 * MIB);
    let all = [(Missing::Mapping, 20), (Missing::Name, 30), (Missing::Name, 40)];
    assert_eq!(loose(&script.state()), all);
    script.give(Binding, OBJECT, 40 * MIB).give(Mapping, 2000 * MIB, 30 * MIB);
    assert_eq!(loose(&script.state()), [(Missing::Mapping, 20)]);
}
