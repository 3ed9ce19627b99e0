//! Growth of lines since the end of the warm-up, of jobs made by hand.

mod made;

use std::collections::BTreeMap;

use collector::{
    ledger::{End, Instance},
    present::{
        build::{Detail, build},
        report::{Growth, Report},
        text,
    },
    process::{First, Growing},
    state::{Site, State, Use},
};
use made::{MIB, PYTHON, TORCH, job, live, process};
use wire::{live::Entry, record::Class};

/// A process with 4 MiB at a line now, and `first` MiB in a block of it at the end of its warm-up.
fn report(first: &[(u32, u64)], most: usize) -> Report {
    let mut told = process(1, End::Running);
    let mut entries = vec![live(Class::Linear, 0x1000_0000, 20 * MIB, TORCH)];
    for (at, python) in [PYTHON, TORCH].into_iter().enumerate() {
        let block = live(Class::Block, 0x1000_0000 + at as u64 * 8 * MIB, 4 * MIB, 0);
        let entry = Entry { python, ..block.entry };
        entries.push(collector::ledger::Live { entry, ..block });
    }
    told.played.state = State::from_live(&entries);
    let sites = first.iter().map(|(python, mib)| {
        (Site { native: 0, python: *python }, Use { bytes: mib * MIB, blocks: 1 })
    });
    let sites = BTreeMap::from([(0, sites.collect())]);
    let first = First { time: 5_000, sites };
    let growing = Growing { most, firsts: BTreeMap::from([(Instance([0, 1]), first)]) };
    let mut job = job(vec![told]);
    job.growing = Some(growing);
    build(&job, Detail::default())
}

fn growth(report: &Report) -> &Growth {
    report.processes[0].growth.as_ref().unwrap()
}

#[test]
fn the_lines_that_grew_most_come_first_and_the_rest_is_summed_up() {
    let both = report(&[(PYTHON, 1), (TORCH, 3)], 5);
    let told: Vec<(u64, u64)> =
        growth(&both).sites.iter().map(|s| (s.first_bytes / MIB, s.last_bytes / MIB)).collect();
    assert_eq!(told, [(1, 4), (3, 4)]);
    assert_eq!(growth(&both).since_ns, 1_005_000);
    assert!(growth(&both).sites.iter().all(|grown| both.sites.contains_key(&grown.site)));
    let one = report(&[(PYTHON, 1)], 1);
    assert_eq!(growth(&one).sites[0].first_bytes, 0, "a new line has grown from nothing");
    assert_eq!((growth(&one).others, growth(&one).others_bytes), (1, 3 * MIB));
    let text = text::render(&both);
    assert!(text.contains("grown since 00:00:00, the end of its warm-up, by line:"), "{text}");
    assert!(text.contains("   +3.0 MiB   +0 blocks  job.py:7 step"), "{text}");
    assert!(text.contains("1.0 MiB then, 4.0 MiB now"), "{text}");
    assert!(text::render(&one).contains("and 1 other line, by 3.0 MiB"));
}

#[test]
fn a_line_that_did_not_grow_is_none() {
    let shrunk = report(&[(PYTHON, 4), (TORCH, 9)], 5);
    assert!(growth(&shrunk).sites.is_empty());
    let text = text::render(&shrunk);
    assert!(text.contains("no line has more live than at 00:00:00"), "{text}");
    // Where nobody asked, nothing is told.
    let plain = build(&job(vec![process(1, End::Running)]), Detail::default());
    assert_eq!(plain.processes[0].growth, None);
    assert!(!text::render(&plain).contains("warm-up"));
}
