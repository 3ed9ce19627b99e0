//! The corpus with truth: runs whose leaks are known, and what the detectors say of them.
//!
//! `corpus [--seeds N] [--write FILE]` prints how often they are right, and what a look costs.

mod allocator;
mod bench;
mod benign;
mod by_steps;
mod course;
mod creep;
mod leaking;
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

use std::process::ExitCode;

/// Runs of each family.
const SEEDS: u64 = 200;

fn main() -> ExitCode {
    let (mut seeds, mut file) = (SEEDS, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let value = arguments.next();
        let number = value.as_ref().and_then(|value| value.parse::<u64>().ok());
        match (argument.as_str(), number, value) {
            ("--seeds", Some(number), _) => seeds = number,
            ("--write", _, Some(value)) => file = Some(value),
            _ => {
                eprintln!("usage: corpus [--seeds N] [--write FILE]");
                return ExitCode::from(2);
            }
        }
    }
    let document = tables::document(seeds);
    print!("{document}");
    if let Some(file) = file
        && let Err(error) = std::fs::write(&file, &document)
    {
        eprintln!("{file}: {error}");
        return ExitCode::FAILURE;
    }
    let bench::Cost { look, tables, finish, report, event, found } = bench::measure();
    println!(
        "\nA look at 16 processes of 100,000 live blocks and 5,000 sites, {found} of them suspect: {} ms \
         of one core; from live tables alone {} ms; all detectors of the timelines {} ms, \
         then the whole report {} ms; an event {} ns.",
        look.as_millis(),
        tables.as_millis(),
        finish.as_millis(),
        report.as_millis(),
        event.as_nanos()
    );
    ExitCode::SUCCESS
}
