//! Line tables against CPython's own reading of them, for every interpreter found here.

use std::{path::PathBuf, process::Command};

use collector::{ledger::Code, symbol::lines::line};

/// `python3`, and what pyenv keeps beside it.
fn interpreters() -> Vec<PathBuf> {
    let mut found = vec![PathBuf::from("python3")];
    if let Some(home) = std::env::var_os("HOME") {
        let versions = PathBuf::from(home).join(".pyenv/versions");
        for version in versions.read_dir().into_iter().flatten().flatten() {
            let minor = version.file_name().to_str().and_then(minor_of).unwrap_or(0);
            if minor >= 10 {
                found.push(version.path().join("bin/python3"));
            }
        }
    }
    found
}

fn minor_of(version: &str) -> Option<u32> {
    version.strip_prefix("3.")?.split('.').next()?.parse().ok()
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect()
}

/// Compares every instruction and returns how many there were.
fn compare(output: &str) -> usize {
    let mut rows = output.lines();
    let python: u32 = rows.next().unwrap().parse().unwrap();
    let mut compared = 0;
    for row in rows {
        let mut words = row.split(' ');
        let first_line = words.next().unwrap().parse().unwrap();
        let lines = bytes(words.next().unwrap().trim_start_matches('-'));
        let code = Code { name: "".into(), file: "".into(), lines, first_line, python };
        for (unit, expected) in words.enumerate() {
            let expected = expected.parse().ok();
            assert_eq!(line(&code, unit as u32 * 2), expected, "{python:#x}, unit {unit} of {row}");
            compared += 1;
        }
    }
    compared
}

#[test]
fn every_instruction_has_the_line_the_interpreter_gives_it() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/line_tables.py");
    for python in interpreters() {
        let output = Command::new(&python).arg(script).output().expect("python3 runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let compared = compare(&String::from_utf8(output.stdout).unwrap());
        assert!(compared > 20_000, "{} gave only {compared} instructions", python.display());
    }
}
