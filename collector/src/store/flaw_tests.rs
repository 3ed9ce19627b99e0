//! Damage to any one file of a trace folder is told, a cut end is not, and the rest is read.

use std::{fs, io::Write, path::Path};

use wire::record::{Class, Verb};

use super::{
    NoTrace, Writer, job,
    rows::TABLES,
    tests::{alloc, head, live, process, store},
};
use crate::source::{
    Drain, TableReader,
    fake::{FakeRing, record},
};

/// Nothing a writer leaves: a length no row has.
const GARBAGE: [u8; 200] = [0xd7; 200];

/// A trace that has ended, of one process that is told twice, with a row in most tables.
fn trace() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let rings = tempfile::tempdir().unwrap();
    let mut writer = Writer::create(folder.path(), head()).unwrap();
    let ring = FakeRing::new([1, 0]);
    let stack = ring.python_stack("forward");
    ring.module(0x1000, 0x2000, "/lib/libc.so.6");
    let file = ring.open(rings.path());
    writer.row(&process(&file, 6)).unwrap();
    let mut tables = TableReader::new(&file);
    tables.record(&file, &record(Verb::Alloc, Class::Block, 1, 1, stack)).unwrap();
    writer.additions(file.instance(), tables.take(&file).unwrap()).unwrap();
    writer.note(6, "something").unwrap();
    (1..=3).for_each(|address| ring.producer().publish(&alloc(address)));
    store(&mut writer, &ring, &mut Drain::new());
    writer.row(&live(1, 3, 3)).unwrap();
    writer.row(&process(&file, 7)).unwrap();
    writer.finish(9).unwrap();
    folder
}

fn append(path: &Path, bytes: &[u8]) {
    fs::OpenOptions::new().append(true).open(path).unwrap().write_all(bytes).unwrap();
}

fn notes(folder: &Path) -> Vec<String> {
    let job = job(folder).unwrap();
    assert_eq!(job.processes.len(), 1);
    job.notes.into_iter().filter(|note| note != "something").collect()
}

#[test]
fn a_table_with_garbage_behind_its_rows_is_told_with_the_number_of_rows() {
    assert!(notes(trace().path()).is_empty());
    for file in TABLES {
        let folder = trace();
        append(&folder.path().join(file), &GARBAGE);
        let what = match *file {
            "processes.bin" => "damaged after row 2; what follows is lost",
            "live.bin" | "nodes.bin" | "codes.bin" | "modules.bin" | "notes.bin" => {
                "damaged after row 1; what follows is lost"
            }
            _ => "damaged; all of it is lost",
        };
        assert_eq!(notes(folder.path()), [format!("{file} is {what}")]);
    }
}

#[test]
fn a_table_that_is_gone_is_told() {
    for file in TABLES.iter().filter(|file| **file != "processes.bin") {
        let folder = trace();
        fs::remove_file(folder.path().join(file)).unwrap();
        assert_eq!(notes(folder.path()), [format!("{file} is missing")]);
    }
}

#[test]
fn a_table_that_cannot_be_opened_or_read_is_told() {
    let folder = trace();
    let gpus = folder.path().join("gpus.bin");
    fs::remove_file(&gpus).unwrap();
    std::os::unix::fs::symlink("gpus.bin", &gpus).unwrap();
    let [note] = &notes(folder.path())[..] else { panic!() };
    assert!(note.starts_with("gpus.bin cannot be read: "), "{note}");
    fs::remove_file(&gpus).unwrap();
    fs::create_dir(&gpus).unwrap();
    assert_eq!(notes(folder.path()), ["gpus.bin is damaged; all of it is lost"]);
}

#[test]
fn a_file_cut_anywhere_is_what_a_killed_writer_leaves() {
    let folder = trace();
    let mut cuts = 0;
    for file in TABLES.iter().chain([&"tail.bin"]) {
        let path = folder.path().join(file);
        let whole = fs::read(&path).unwrap();
        // The first of the two rows of the process stays.
        let least = if *file == "processes.bin" { whole.len() / 2 } else { 0 };
        for cut in least..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            assert!(notes(folder.path()).is_empty(), "{file} at {cut}");
            cuts += 1;
        }
        fs::write(&path, whole).unwrap();
    }
    assert!(cuts > 500, "{cuts}");
}

#[test]
fn a_length_beyond_the_end_of_the_file_is_no_cut() {
    let folder = trace();
    let notes_bin = folder.path().join("notes.bin");
    let mut bytes = fs::read(&notes_bin).unwrap();
    bytes[1] ^= 4;
    fs::write(&notes_bin, bytes).unwrap();
    assert_eq!(notes(folder.path()), ["notes.bin is damaged; all of it is lost"]);
}

#[test]
fn damaged_slots_of_the_tail_are_counted() {
    let folder = trace();
    let tail = folder.path().join("tail.bin");
    let mut bytes = fs::read(&tail).unwrap();
    bytes[2 * 64 + 20] ^= 1;
    fs::write(&tail, &bytes).unwrap();
    assert_eq!(notes(folder.path()), ["tail.bin has 1 damaged slot; what it told is lost"]);
    // Three slots, and eight bytes of a fourth.
    append(&tail, &GARBAGE);
    assert_eq!(notes(folder.path()), ["tail.bin has 4 damaged slots; what they told is lost"]);
    fs::remove_file(&tail).unwrap();
    assert_eq!(notes(folder.path()), ["tail.bin is missing"]);
}

#[test]
fn events_or_rows_of_nobody_are_no_trace() {
    let folder = trace();
    let processes = folder.path().join("processes.bin");
    fs::write(&processes, GARBAGE).unwrap();
    assert_eq!(job(folder.path()).unwrap_err(), NoTrace::NoProcess);
    fs::remove_file(&processes).unwrap();
    assert_eq!(job(folder.path()).unwrap_err(), NoTrace::NoProcess);
    fs::write(&processes, GARBAGE).unwrap();
    fs::write(folder.path().join("tail.bin"), []).unwrap();
    assert_eq!(job(folder.path()).unwrap_err(), NoTrace::NoProcess);
    // A job without CUDA.
    fs::write(&processes, []).unwrap();
    assert!(job(folder.path()).unwrap().processes.is_empty());
}
