//! Marks that are set are found again; what is no mark is told, and hurts nobody.

use std::{fs, os::unix::fs::symlink, path::Path};

use wire::{
    header,
    mark::{Kind, NAME_BYTES},
    outside::FILE,
};

use super::{Line, MOST, NotMarked, Queue, Reader, append, mark, read};
use crate::{
    ledger::{Instance, Tables},
    phase,
    process::proc_fs,
    source::fake::FakeRing,
    sys,
};

const A: Instance = Instance([1, 0]);
const B: Instance = Instance([2, 0]);

fn names(folder: &Path) -> Vec<(Instance, String)> {
    read(folder, u64::MAX).lines.into_iter().map(|line| (line.instance, line.name)).collect()
}

/// A ring of this very process, which lives.
fn own_ring(instance: u64, started: u64) -> FakeRing {
    let ring = FakeRing::new([instance, 0]);
    let me = std::process::id();
    ring.set(header::PID, me.into());
    ring.set(header::START_TICKS, proc_fs::stat(me).unwrap().start_ticks);
    ring.set(header::PID_NAMESPACE, proc_fs::own_namespace());
    ring.set(header::STARTED_MONOTONIC, started);
    ring
}

#[test]
fn what_is_appended_is_read_in_its_order_with_times_that_do_not_go_back() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(read(folder.path(), u64::MAX), super::Read::default());
    let before = sys::monotonic();
    append(folder.path(), &[A, B], Kind::Point, "weights loaded").unwrap();
    append(folder.path(), &[A], Kind::Begin, "rollout").unwrap();
    append(folder.path(), &[A], Kind::End, "rollout").unwrap();
    let read = read(folder.path(), sys::monotonic());
    assert_eq!(read.trouble, None);
    let kinds: Vec<Kind> = read.lines.iter().map(|line| line.kind).collect();
    assert_eq!(kinds, [Kind::Point, Kind::Point, Kind::Begin, Kind::End]);
    let times: Vec<u64> = read.lines.iter().map(|line| line.time).collect();
    assert!(times[0] >= before && times.is_sorted() && times[0] == times[1]);
}

#[test]
fn names_are_cleaned_and_cut_between_characters() {
    let folder = tempfile::tempdir().unwrap();
    append(folder.path(), &[A], Kind::Point, "a\u{1b}[31m\nb").unwrap();
    append(folder.path(), &[A], Kind::Point, &"ä".repeat(1 << 19)).unwrap();
    append(folder.path(), &[A], Kind::Point, &format!("{}ä", "n".repeat(NAME_BYTES - 1))).unwrap();
    let told: Vec<String> = names(folder.path()).into_iter().map(|(_, name)| name).collect();
    assert_eq!(told, ["a\u{fffd}[31m b", &"ä".repeat(60), &"n".repeat(NAME_BYTES - 1)]);
    assert!(append(folder.path(), &[A], Kind::Point, " \n").is_err());
}

#[test]
fn lines_that_are_no_marks_are_counted_and_the_others_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    // A write that a full disk cut short.
    fs::write(&path, b"12 0000").unwrap();
    append(folder.path(), &[A], Kind::Point, "one").unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes.extend(b"\xff\xfe\n\n");
    bytes.extend(format!("{} {A} mark not yet\n", u64::MAX).bytes());
    bytes.extend(format!("5 {A} mark {}\n", "y".repeat(1000)).bytes());
    bytes.extend(b"5 being written");
    fs::write(&path, bytes).unwrap();
    let read = read(folder.path(), sys::monotonic());
    let told: Vec<&str> = read.lines.iter().map(|line| line.name.as_str()).collect();
    assert_eq!(told, ["one", &"y".repeat(NAME_BYTES)]);
    assert!(read.trouble.unwrap().ends_with("3 of its lines are no marks"));
}

#[test]
fn a_link_a_folder_a_pipe_and_a_file_without_end_are_not_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    let elsewhere = folder.path().join("elsewhere");
    fs::write(&elsewhere, "").unwrap();
    symlink(&elsewhere, &path).unwrap();
    let refused = || {
        let trouble = read(folder.path(), u64::MAX).trouble.unwrap();
        assert!(trouble.contains("no mark was read"), "{trouble}");
        assert!(append(folder.path(), &[A], Kind::Point, "x").is_err());
    };
    refused();
    assert_eq!(fs::read(&elsewhere).unwrap(), b"");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    refused();
    fs::remove_dir(&path).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    refused();
    fs::remove_file(&path).unwrap();
    fs::File::create(&path).unwrap().set_len(MOST + 1).unwrap();
    let read = read(folder.path(), u64::MAX);
    assert!(read.lines.is_empty() && read.trouble.unwrap().contains("longer than it can be"));
}

#[test]
fn where_room_runs_out_the_oldest_marks_and_those_of_processes_without_a_ring_go() {
    let folder = tempfile::tempdir().unwrap();
    FakeRing::new(A.0).save(folder.path());
    append(folder.path(), &[B], Kind::Point, "of nobody").unwrap();
    let mut reader = Reader::new(folder.path().to_owned());
    let mut told = reader.news();
    let name = |n: usize| format!("{n:0>width$}", width = NAME_BYTES);
    let mut number = 0;
    let dropped = loop {
        number += 1;
        if append(folder.path(), &[A], Kind::Point, &name(number)).unwrap() {
            break number;
        }
        assert!(fs::metadata(folder.path().join(FILE)).unwrap().len() <= MOST);
        if number % 1000 == 0 {
            told.extend(reader.news());
        }
    };
    assert!(fs::metadata(folder.path().join(FILE)).unwrap().len() <= MOST / 2 + 200);
    let left = names(folder.path());
    assert_eq!(left.last().unwrap().1, name(dropped));
    assert!(left.iter().all(|(instance, _)| *instance == A));
    // Whoever reads along has missed nothing, and nothing twice.
    told.extend(reader.news());
    let told: Vec<Line> = told.into_iter().filter(|line| line.instance == A).collect();
    assert_eq!(told.len(), dropped);
    assert!(told.iter().zip(1..).all(|(line, number)| line.name == name(number)));
    append(folder.path(), &[A], Kind::Point, "after").unwrap();
    assert_eq!(reader.news().len(), 1);
    assert!(reader.news().is_empty());
}

#[test]
fn many_at_once_lose_no_mark() {
    let folder = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let folder = folder.path();
            scope.spawn(move || {
                for number in 0..50 {
                    append(folder, &[A], Kind::Point, &format!("{thread} {number}")).unwrap();
                }
            });
        }
    });
    let read = read(folder.path(), sys::monotonic());
    assert_eq!((read.lines.len(), read.trouble), (400, None));
    assert!(read.lines.is_sorted_by_key(|line| line.time));
}

#[test]
fn marked_are_those_that_live_beside_their_rings() {
    let folder = tempfile::tempdir().unwrap();
    let job = folder.path().join("run-1");
    fs::create_dir(&job).unwrap();
    own_ring(1, 100).save(folder.path());
    own_ring(2, 200).save(&job);
    FakeRing::new([3, 0]).save(&job);
    let me = std::process::id();
    let (marked, _) = mark(folder.path(), Some(me), Kind::Point, "now").unwrap();
    // The first was replaced by the second, as `exec` does.
    assert_eq!(marked.iter().map(|one| one.pid).collect::<Vec<_>>(), [me]);
    assert_eq!((names(folder.path()), names(&job)), (vec![], vec![(B, "now".to_owned())]));
    mark(folder.path(), None, Kind::Point, "all").unwrap();
    assert_eq!(names(&job).len(), 2);
    let error = |pid| mark(folder.path(), pid, Kind::Point, "x").unwrap_err();
    assert!(matches!(error(Some(4711)), NotMarked::Ended(4711)));
    assert!(matches!(error(Some(1)), NotMarked::Unknown(1)));
    fs::remove_dir_all(&job).unwrap();
    fs::remove_file(folder.path().join(format!("{A}.ring"))).unwrap();
    assert!(matches!(error(None), NotMarked::Nobody));
}

#[test]
fn a_queue_gives_them_by_time_with_names_of_the_process() {
    let mut tables = Tables::default();
    let line =
        |time, name: &str| Line { time, instance: A, kind: Kind::Point, name: name.to_owned() };
    let lines = vec![line(9, "step 2"), line(5, "step 1"), line(7, "other")];
    let mut queue = Queue::new(lines, &mut tables);
    assert_eq!(queue.until(4), None);
    let told: Vec<String> = std::iter::from_fn(|| queue.until(8))
        .map(|event| {
            let mark = wire::mark::Mark::of(&event.record).unwrap();
            format!("{} {:?}", phase::text(&tables, mark.name), mark.number)
        })
        .collect();
    assert_eq!(told, ["step  Some(1)", "other None"]);
    assert_eq!(queue.until(u64::MAX).unwrap().record.time, 9);
    assert_eq!(tables.codes.len(), 2);
}
