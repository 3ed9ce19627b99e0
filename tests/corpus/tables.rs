//! The outcomes as the tables of `docs/corpus.md`.

use std::fmt::Write;

use crate::course::Unit;
use crate::matrix::Row;
use crate::play::Fed;
use crate::score::{Counts, percentile, share, upper_bound};
use crate::sites::{HELD_OUT, Outcome, Seeds};
use crate::{creep, retained, sites, totals};

const HEAD: &str = "# How often the detectors are right

Written by `make corpus`; do not edit. The same seeds give the same numbers.

The families are made by `tests/corpus/`. They know nothing of the detectors, but both were written by
the same people: take the numbers as an upper bound. Limits were chosen on tuning seeds; what is shown
is from other seeds, and from families that no tuning saw, which are marked †. Each run that does not
leak has a twin that differs by one leaking site. Precision is told for as many leaking as not leaking.

What each finding means, and with which limits: [findings.md](findings.md).
";

/// All of it, over `number` seeds a family; and the confusion matrix of each detector.
pub fn document(number: u64) -> (String, Vec<Row>) {
    let mut text = HEAD.to_owned();
    let mut rows = Vec::new();
    let _ = writeln!(text, "\n{number} runs of each family.\n");
    for unit in [Unit::Seconds, Unit::Steps] {
        rows.push(leaks(&mut text, unit, number));
    }
    rows.push(growth(&mut text, number));
    rows.push(creep(&mut text, number));
    boundaries(&mut text, number);
    (text, rows)
}

fn percent(part: f64) -> String {
    format!("{:.1} %", part * 100.0)
}

fn mark(name: &str, held_out: &[&str]) -> String {
    if held_out.contains(&name) { format!("{name} †") } else { name.to_owned() }
}

fn leaks(text: &mut String, unit: Unit, number: u64) -> Row {
    let (title, floor, by) = match unit {
        Unit::Seconds => ("Leak by site, by time: four hours", "0.5 MiB a minute", "minutes"),
        Unit::Steps => ("Leak by site, by steps: 240 steps", "64 KiB a step", "steps"),
    };
    let _ = write!(
        text,
        "## {title}\n\nA (site, run) counts if it was ever flagged. A leak can be seen if it has at \
         least ten blocks and\n{floor}, and began in the first half.\n\n"
    );
    let held_out = sites::run(unit, Seeds::HeldOut, number, Fed::Events);
    family_table(text, &held_out);
    text.push_str(
        "\n| seeds | precision | recall | recall, all leaks | false alerts | at most, 95 % | top site \
         right | rate within 15 % |\n|---|---|---|---|---|---|---|---|\n",
    );
    summary(text, "held out", &held_out);
    summary(text, "tuning", &sites::run(unit, Seeds::Tuning, number, Fed::Events));
    if unit == Unit::Seconds {
        // A table a minute makes long runs: a quarter of the seeds is enough to see a difference.
        let tables = sites::run(unit, Seeds::HeldOut, number.div_ceil(4), Fed::Tables);
        summary(text, "held out, live tables alone, a quarter of the runs", &tables);
    }
    let nameless = sites::run(unit, Seeds::HeldOut, number, Fed::Nameless);
    summary(text, "held out, names of caches hidden", &nameless);
    let counts = held_out.pooled().0;
    let mut latencies = held_out.latencies;
    let _ = writeln!(
        text,
        "\nFrom the first leaked block to the alert: median {:.0} {by}, nine in ten within {:.0}.",
        percentile(&mut latencies, 0.5),
        percentile(&mut latencies, 0.9),
    );
    let alerted = |family: &&sites::Family| family.alerted.false_alerts > 0;
    let wrong: Vec<String> = nameless.benign.iter().filter(alerted).map(of_benign).collect();
    let _ = writeln!(
        text,
        "With the names hidden these are alerts: {}.\nA cache that fills for more than an hour is told \
         from a leak by its name alone: the other families\nhere are full, or nearly, within 75 \
         minutes or steps. What has no such name and fills for longer\nis a false alarm.\n",
        wrong.join(", ")
    );
    let name = match unit {
        Unit::Seconds => "leak, by time",
        Unit::Steps => "leak, by steps",
    };
    Row { name, counts }
}

fn of_benign(family: &sites::Family) -> String {
    let Counts { benign, false_alerts, .. } = family.alerted;
    format!("{} {false_alerts} of {benign}", family.name)
}

fn family_table(text: &mut String, outcome: &Outcome) {
    text.push_str("| does not leak | runs | suspect | alert |\n|---|---|---|---|\n");
    for family in &outcome.benign {
        let (name, alerted) = (mark(family.name, &HELD_OUT), family.alerted);
        let suspected = family.suspected.false_alerts - alerted.false_alerts;
        let _ = writeln!(
            text,
            "| {name} | {} | {suspected} | {} |",
            alerted.benign, alerted.false_alerts
        );
    }
    text.push_str("\n| leaks | can be seen | suspect only | alert |\n|---|---|---|---|\n");
    for family in &outcome.leaking {
        let (name, alerted) = (mark(family.name, &HELD_OUT), family.alerted);
        let suspected = family.suspected.found - alerted.found;
        let _ =
            writeln!(text, "| {name} | {} | {suspected} | {} |", alerted.leaking, alerted.found);
    }
}

fn summary(text: &mut String, name: &str, outcome: &Outcome) {
    let counts = outcome.pooled().0;
    let [right, all] = outcome.top_right;
    let within = outcome.rates.iter().filter(|rate| (**rate - 1.0).abs() <= 0.15).count();
    let _ = writeln!(
        text,
        "| {name} | {:.3} | {:.3} | {:.3} | {} of {} | 1 in {:.0} | {} | {} |",
        counts.precision(),
        counts.recall(),
        outcome.all_leaks.recall(),
        counts.false_alerts,
        counts.benign,
        1.0 / upper_bound(counts.false_alerts, counts.benign),
        percent(share(right, all)),
        percent(share(within as u64, outcome.rates.len() as u64)),
    );
}

fn growth(text: &mut String, number: u64) -> Row {
    text.push_str(
        "## Growth of totals: four hours, a figure every ten seconds\n\nFlagged at the end is what a \
         report says; ever, what somebody sees who looks every ten minutes and\nbelieves two looks in \
         a row. Load that rises for an hour or two is growth while it rises, and no single\nseries \
         tells it from a leak: growth alone makes a process suspect, never more.\n\n\
         | family | runs | at the end | ever |\n|---|---|---|---|\n",
    );
    let (mut sums, mut report) = (Vec::new(), Counts::default());
    for (name, seeds) in [("held out", Seeds::HeldOut), ("tuning", Seeds::Tuning)] {
        let (mut at_end, mut ever, mut plain) =
            (Counts::default(), Counts::default(), Counts::default());
        for family in totals::run(seeds, number) {
            at_end.join(&family.at_end);
            ever.join(&family.ever);
            plain.join(&family.plain);
            if seeds == Seeds::HeldOut {
                let flagged = |counts: &Counts| counts.false_alerts + counts.found;
                let _ = writeln!(
                    text,
                    "| {} | {number} | {} | {} |",
                    mark(family.name, &totals::HELD_OUT),
                    flagged(&family.at_end),
                    flagged(&family.ever)
                );
            }
        }
        if seeds == Seeds::HeldOut {
            report = at_end;
        }
        sums.push((format!("{name}, at the end"), at_end, Some(plain)));
        sums.push((format!("{name}, ever"), ever, None));
    }
    text.push_str(
        "\n| seeds | precision | recall | recall, leak 5 times the noise | flagged of what does not \
         leak |\n|---|---|---|---|---|\n",
    );
    for (name, counts, plain) in sums {
        let _ = writeln!(
            text,
            "| {name} | {:.3} | {:.3} | {} | {} |",
            counts.precision(),
            counts.recall(),
            plain.map_or_else(String::new, |plain| format!("{:.3}", plain.recall())),
            percent(share(counts.false_alerts, counts.benign)),
        );
    }
    Row { name: "growth, at the end of a run", counts: report }
}

fn creep(text: &mut String, number: u64) -> Row {
    text.push_str(
        "\n## Creep: 60 to 400 requests through a caching allocator\n\nThe allocator is a small one \
         that does with segments as PyTorch's does. A run creeps if what is reserved\nbeyond blocks at \
         the ends of requests gained 128 MiB and went on in the last third; it does not, if\nthat \
         gained less than 32 MiB, or nothing in the last third; what lies between is left out. \
         *Stopped*\nis told as INFO. The limits were not chosen here: all seeds are held out.\n\n\
         | family | does not creep | stopped | alert | creeps | alert |\n|---|---|---|---|---|---|\n",
    );
    let mut counts = Counts::default();
    for family in creep::run(number) {
        let Counts { benign, false_alerts, leaking, found } = family.counts;
        let _ = writeln!(
            text,
            "| {} | {benign} | {} | {false_alerts} | {leaking} | {found} |",
            family.name, family.plateaued
        );
        counts.join(&family.counts);
    }
    let _ = writeln!(
        text,
        "\nPrecision {:.3}, recall {:.3}; {} alerts of {} that do not creep.",
        counts.precision(),
        counts.recall(),
        counts.false_alerts,
        counts.benign
    );
    Row { name: "creep", counts }
}

fn boundaries(text: &mut String, number: u64) {
    text.push_str(
        "\n## Retained at boundaries\n\nRuns with a finding, by how many steps a test runs. A queue or \
         a cache that holds more steps than are\nmeasured is retained like a leak: let a test run \
         longer than its caches fill.\n\n",
    );
    let lengths = retained::LENGTHS.map(|steps| format!("{steps} steps"));
    let _ = writeln!(text, "| family | runs | {} |", lengths.join(" | "));
    let _ = writeln!(text, "|---|---|{}", "---|".repeat(lengths.len()));
    for family in retained::run(number) {
        let leaks = if family.leaks { "leak: " } else { "" };
        let found = family.found.map(|found| found.to_string()).join(" | ");
        let _ = writeln!(text, "| {leaks}{} | {} | {found} |", family.name, family.runs);
    }
}
