//! The corpus with truth: runs whose leaks are known, and what the detectors say of them.
//!
//! `corpus [--seeds N] [--write DOCS]` prints how often they are right, and what a look costs.

mod allocator;
mod bench;
mod benign;
mod by_steps;
mod course;
mod creep;
mod leaking;
mod matrix;
mod play;
mod retained;
mod rng;
mod score;
mod sites;
mod tables;
mod totals;
mod truth;

#[cfg(test)]
mod floors;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{fs, io};

/// Runs of each family.
const SEEDS: u64 = 200;

fn main() -> ExitCode {
    let (mut seeds, mut docs) = (SEEDS, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let value = arguments.next();
        let number = value.as_ref().and_then(|value| value.parse::<u64>().ok());
        match (argument.as_str(), number, value) {
            ("--seeds", Some(number), _) => seeds = number,
            ("--write", _, Some(value)) => docs = Some(PathBuf::from(value)),
            _ => {
                eprintln!("usage: corpus [--seeds N] [--write DOCS]");
                return ExitCode::from(2);
            }
        }
    }
    let (document, rows) = tables::document(seeds);
    print!("{document}");
    if let Some(docs) = docs
        && let Err(error) = write(&docs, &document, &rows)
    {
        eprintln!("{}: {error}", docs.display());
        return ExitCode::FAILURE;
    }
    let bench::Cost { look, tables, finish, map, report, event, found } = bench::measure();
    println!(
        "\nA look at 16 processes of 100,000 live blocks and 5,000 sites, {found} of them suspect: {} ms \
         of one core; from live tables alone {} ms; all detectors of the timelines {} ms, \
         of what is stranded {} ms; then the whole report {} ms; an event {} ns.",
        look.as_millis(),
        tables.as_millis(),
        finish.as_millis(),
        map.as_millis(),
        report.as_millis(),
        event.as_nanos()
    );
    ExitCode::SUCCESS
}

/// Writes the page about the corpus, and the section of the page about findings.
fn write(docs: &Path, document: &str, rows: &[matrix::Row]) -> io::Result<()> {
    let findings = docs.join("findings.md");
    let page = matrix::renewed(&fs::read_to_string(&findings)?, rows)
        .ok_or_else(|| io::Error::other("findings.md has no section for this"))?;
    fs::write(findings, page)?;
    fs::write(docs.join("corpus.md"), document)
}
