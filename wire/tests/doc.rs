//! `docs/wire-format.md` is the specification: each of its tables against the code.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;

use wire::{
    device, folder,
    header::{self, Counter},
    layout::{
        CODE_WORDS, DEVICE_WORDS, DEVICES, ENTRY_WORDS, FULL, HEADER_WORDS, MODULE_WORDS,
        NODE_WORDS, SLOT_WORDS, SMALL, TEXT_WORDS, WORD,
    },
    mark::Kind,
    record::{Class, Step, Verb},
};

const DOC: &str = include_str!("../../docs/wire-format.md");

/// Rows of the table whose header line starts with `first`, as their cells.
fn table(first: &str) -> Vec<Vec<&'static str>> {
    let rows: Vec<_> = DOC
        .lines()
        .skip_while(|line| *line != first)
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    assert!(!rows.is_empty(), "no table {first}");
    rows
}

/// Second table column by first, or the other way round.
fn numbers(first: &str, name: usize, number: usize) -> BTreeMap<&'static str, usize> {
    table(first).into_iter().map(|row| (row[name], row[number].parse().unwrap())).collect()
}

macro_rules! constants {
    ($module:ident: $($name:ident)*) => { BTreeMap::from([$((stringify!($name), $module::$name)),*]) };
}

#[test]
fn the_sections_are_those_of_the_layouts() {
    let element = [
        ("header", HEADER_WORDS, 1, 1),
        ("devices", DEVICE_WORDS, DEVICES, DEVICES),
        ("text", TEXT_WORDS, 1, 1),
        ("ring", SLOT_WORDS, FULL.slots, SMALL.slots),
        ("live", ENTRY_WORDS, FULL.entries, SMALL.entries),
        ("nodes", NODE_WORDS, FULL.nodes, SMALL.nodes),
        ("codes", CODE_WORDS, FULL.codes, SMALL.codes),
        ("modules", MODULE_WORDS, FULL.modules, SMALL.modules),
        ("arena", 1, FULL.arena_words, SMALL.arena_words),
    ];
    let expected: Vec<Vec<String>> = element
        .iter()
        .map(|(name, words, full, small)| {
            vec![(*name).into(), (words * WORD).to_string(), full.to_string(), small.to_string()]
        })
        .collect();
    assert_eq!(table("| section | element bytes | full | small |"), expected);
}

#[test]
fn header_and_devices_name_every_word() {
    let header = constants!(header: MAGIC VERSION INSTANCE_0 INSTANCE_1 PID START_TICKS
        STARTED_MONOTONIC STARTED_REALTIME PID_NAMESPACE PYTHON_VERSION PYTHON_STATE API_NAMES MODE
        EXITED DRIVER_VERSION HEAD COUNTERS ARENA_NEXT MODULES_NEXT);
    assert_eq!(numbers("| word | name | meaning |", 1, 0), header);
    let device = constants!(device: UUID_0 UUID_1 TOTAL RESERVED RESERVED_PEAK RESERVED_PEAK_TIME
        ALLOCATED ALLOCATED_PEAK ALLOCATED_PEAK_TIME TORCH_RESERVED TORCH_RESERVED_PEAK
        POOL_ALLOCATED);
    assert_eq!(numbers("| word | name |", 1, 0), device);
}

#[test]
fn numbers_of_verbs_classes_and_counters_are_those_of_the_code() {
    let verbs = numbers("| verb | number |", 0, 1);
    let known: BTreeMap<String, usize> =
        (0..32).filter_map(|n| Some((format!("{:?}", Verb::of(n)?), n as usize))).collect();
    assert_eq!(
        verbs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect::<BTreeMap<_, _>>(),
        known
    );
    let classes = numbers("| class | number |", 0, 1);
    let known: BTreeMap<String, usize> =
        (0..32).filter_map(|n| Some((format!("{:?}", Class::of(n)?), n as usize))).collect();
    assert_eq!(
        classes.into_iter().map(|(k, v)| (k.to_owned(), v)).collect::<BTreeMap<_, _>>(),
        known
    );
    use Counter::*;
    let all = [
        DroppedBusy,
        LiveOverflow,
        UnlistedBytes,
        TrieFull,
        StackTruncated,
        CodesFull,
        ArenaFull,
        ModulesFull,
        UnknownFree,
        ForeignDevice,
        UnmappedName,
        UnknownDevice,
        BeforeStart,
        Forked,
        NamesFull,
        RefusedFree,
    ];
    let known: BTreeMap<String, usize> =
        all.iter().map(|c| (format!("{c:?}"), *c as usize)).collect();
    let counters = numbers("| number | name |", 1, 0);
    assert_eq!(
        counters.into_iter().map(|(k, v)| (k.to_owned(), v)).collect::<BTreeMap<_, _>>(),
        known
    );
}

#[test]
fn the_kinds_of_marks_are_those_of_the_code() {
    let kinds = numbers("| kind | number | what it says |", 0, 1);
    let known = (0..8).filter_map(|n| Some((format!("{:?}", Kind::of(n)?), n as usize)));
    assert_eq!(
        kinds.into_iter().map(|(k, v)| (k.to_owned(), v)).collect::<BTreeMap<_, _>>(),
        known.collect::<BTreeMap<_, _>>()
    );
}

#[test]
fn the_steps_of_called_slots_are_those_of_the_code() {
    let steps = numbers("| step | number | what it says |", 0, 1);
    let known = (0..64).filter_map(|n| Some((format!("{:?}", Step::of(n)?), n as usize)));
    assert_eq!(
        steps.into_iter().map(|(k, v)| (k.to_owned(), v)).collect::<BTreeMap<_, _>>(),
        known.collect::<BTreeMap<_, _>>()
    );
}

#[test]
fn special_slots_have_the_values_of_the_page() {
    assert!(DOC.contains(&format!("{:#x}", folder::SOURCE)));
    assert!(DOC.contains(&format!("{:#x}", folder::GAP)));
}
