//! Python frames against the interpreter's own answer, for every version at hand.

mod support;

use std::{
    collections::HashMap,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};
use support::{File, Frame};
use wire::{
    header::{Counter, PYTHON_STATE, PYTHON_VERSION, PythonState},
    record::NO_STACK,
};

/// Frames of a stack that are kept.
const DEPTH: usize = 256;
/// Address of the event from a thread without Python.
const ELSEWHERE: u64 = 1;

/// An interpreter of version 3.`minor`: on the path, or among those of pyenv.
fn interpreter(minor: u32) -> Option<PathBuf> {
    let pyenv = env::home_dir().map(|home| home.join(".pyenv/versions"));
    let versions = pyenv.and_then(|folder| fs::read_dir(folder).ok()).into_iter().flatten();
    let mut candidates: Vec<_> = versions
        .filter_map(|version| Some(version.ok()?.path().join("bin/python3")))
        .filter(|path| path.to_string_lossy().contains(&format!("/3.{minor}.")))
        .collect();
    candidates
        .extend(["/usr/bin/", "/usr/local/bin/"].map(|at| format!("{at}python3.{minor}").into()));
    candidates.into_iter().find(|path| path.exists())
}

/// The library made from `examples/probe.rs`. Cargo builds no library for a test by itself.
fn probe() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let test = env::current_exe().unwrap();
        let target = test.ancestors().nth(3).unwrap();
        let status = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--example", "probe", "--manifest-path"])
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
            .arg("--target-dir")
            .arg(target)
            .status()
            .unwrap();
        assert!(status.success());
        target.join("debug/examples/libprobe.so")
    })
}

/// Runs `command` with a folder of rings of its own and returns the one file made there.
fn record(folder: &Path, command: &mut Command) -> File {
    let _ = fs::remove_dir_all(folder);
    let output = command.env("MEMTRACE_DIR", folder).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {errors}", output.status);
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let mut rings = files.filter(|path| path.extension().is_some_and(|ending| ending == "ring"));
    let file = File::read(&rings.next().expect("a ring"));
    assert_eq!(rings.next(), None);
    file
}

/// What `python.py` wrote: frames by the address of their event.
fn expected(path: &Path) -> HashMap<u64, Vec<Frame>> {
    let mut stacks: HashMap<u64, Vec<Frame>> = HashMap::new();
    for line in fs::read_to_string(path).unwrap().lines() {
        let fields: Vec<_> = line.split('\t').collect();
        let &[address, name, file, first_line, offset, lines] = fields.as_slice() else {
            panic!("{line}");
        };
        let hex = |i| u8::from_str_radix(&lines[i..i + 2], 16).unwrap();
        stacks.entry(address.parse().unwrap()).or_default().push(Frame {
            name: name.into(),
            file: file.into(),
            first_line: first_line.parse().unwrap(),
            offset: offset.parse().unwrap(),
            lines: (0..lines.len()).step_by(2).map(hex).collect(),
        });
    }
    stacks
}

fn check(minor: u32) {
    let Some(python) = interpreter(minor) else {
        eprintln!("skipped: no Python 3.{minor} on this machine");
        return;
    };
    let folder = env::temp_dir().join(format!("memtrace-python-{}-{minor}", std::process::id()));
    let out = folder.with_extension("expected");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python.py");
    let file = record(&folder, Command::new(python).arg(script).args([probe(), &out]));
    let expected = expected(&out);
    fs::remove_file(out).unwrap();
    fs::remove_dir_all(folder).unwrap();

    assert_eq!(file.header(PYTHON_VERSION), u64::from(3 << 8 | minor));
    assert_eq!(file.header(PYTHON_STATE), PythonState::On as u64);
    for counter in [Counter::CodesFull, Counter::ArenaFull, Counter::TrieFull] {
        assert_eq!(file.counter(counter), 0, "{counter:?}");
    }
    let mut seen = 0;
    for record in file.records() {
        if record.address == ELSEWHERE {
            assert_eq!(record.python, NO_STACK);
            continue;
        }
        let mut wanted = expected[&record.address].clone();
        wanted.truncate(DEPTH);
        let mut found = file.python(record.python);
        // The innermost frame has gone on since the event was made.
        found[0].offset = wanted[0].offset;
        assert_eq!(found.len(), wanted.len(), "at {:x}", record.address);
        for (found, wanted) in found.iter().zip(&wanted) {
            assert_eq!(found, wanted, "at {:x}", record.address);
        }
        seen += 1;
    }
    assert_eq!(seen, expected.len());
    assert!(seen > 2000, "only {seen} events");
    let deep = expected.values().filter(|stack| stack.len() > DEPTH).count() as u64;
    assert!((1..=deep).contains(&file.counter(Counter::StackTruncated)));
}

/// What Python calls, calls Python again, and so on: many native frames, fewer of Python's.
const DEEP: &str = "
import ctypes, sys
library = ctypes.PyDLL(sys.argv[1])
assert library.probe_start() == 0
def recurse(depth):
    return list(map(recurse, [depth - 1])) if depth else library.probe_take_linear(ctypes.c_uint64(1 << 40))
recurse(100)
";

#[test]
fn a_native_stack_that_is_cut_is_no_loss_where_the_python_stack_is_whole() {
    let Some(python) = (10..=13).rev().find_map(interpreter) else {
        eprintln!("skipped: no Python that can be read on this machine");
        return;
    };
    let folder = env::temp_dir().join(format!("memtrace-python-{}-deep", std::process::id()));
    let file = record(&folder, Command::new(python).args(["-c", DEEP]).arg(probe()));
    fs::remove_dir_all(folder).unwrap();
    let records = file.records();
    let [record] = records.as_slice() else { panic!("{records:?}") };
    assert_eq!(file.native(record.native).len(), 128, "not deep enough to be cut");
    assert_eq!(file.python(record.python).len(), 102);
    assert_eq!(file.counter(Counter::StackTruncated), 0);
}

#[test]
fn frames_of_python_3_10_are_those_of_the_interpreter() {
    check(10);
}

#[test]
fn frames_of_python_3_11_are_those_of_the_interpreter() {
    check(11);
}

#[test]
fn frames_of_python_3_12_are_those_of_the_interpreter() {
    check(12);
}

#[test]
fn frames_of_python_3_13_are_those_of_the_interpreter() {
    check(13);
}
