//! What a gate says, for a person: what fails first, then every rule with its number, then the table.

use super::{
    measure::{GpuPeak, ProcessCourse},
    outcome::{Outcome, Scenario, Verdict},
};
use crate::present::text::{Page, bytes, count, duration};

/// The whole text, in lines as long as the report's at most.
#[must_use]
pub fn render(outcome: &Outcome) -> String {
    let mut page = Page::default();
    page.paragraph(0, "", &head(outcome));
    for failure in &outcome.failures {
        page.paragraph(0, "FAILED:     ", &format!("{}: {}", failure.rule, failure.text));
        page.paragraph(0, "What to do: ", &failure.advice);
    }
    for sentence in &outcome.undecided {
        page.paragraph(0, "NOT JUDGED: ", sentence);
    }
    for suspect in &outcome.suspects {
        page.paragraph(0, "SUSPECT:    ", &format!("{}: {}", suspect.rule, suspect.text));
    }
    for rule in outcome.rules.iter().filter(|rule| rule.verdict == Verdict::Pass) {
        page.paragraph(0, "passed:     ", &format!("{}: {}", rule.rule, rule.text));
    }
    table(&mut page, &outcome.processes);
    gpus(&mut page, &outcome.gpus);
    for note in &outcome.notes {
        page.paragraph(0, "Note: ", note);
    }
    page.finish()
}

/// What came out, in a sentence or two.
fn head(outcome: &Outcome) -> String {
    let number = |verdict| outcome.rules.iter().filter(|rule| rule.verdict == verdict).count();
    let (failed, rules) = (number(Verdict::Fail), count(outcome.rules.len() as u64, "rule"));
    let verdict = match outcome.verdict {
        Verdict::Pass if outcome.rules.len() == 1 => "The rule holds.".to_owned(),
        Verdict::Pass => format!("All {rules} hold."),
        Verdict::Fail if failed == 1 => format!("1 of {rules} fails."),
        Verdict::Fail => format!("{failed} of {rules} fail."),
        Verdict::Undecided => "Not everything could be judged.".to_owned(),
    };
    let scenario = outcome.scenario.as_ref().map(driven);
    format!("{verdict}{}", scenario.unwrap_or_default())
}

fn driven(scenario: &Scenario) -> String {
    format!(
        " {}: {} in {}, {} of them warm-up, in {}.",
        scenario.name,
        count(scenario.requests, "request"),
        count(scenario.waves, "wave"),
        scenario.warm_up_waves,
        duration(scenario.time_ns),
    )
}

fn table(page: &mut Page, processes: &[ProcessCourse]) {
    if processes.is_empty() {
        return;
    }
    page.gap();
    page.row(0, "after the warm-up", ["at its end", "at most", "at last", "growth", "by"]);
    for process in processes {
        let (course, by) = process.told();
        let cells = [course.baseline_bytes, course.peak_bytes, course.final_bytes, course.growth()];
        let cells = cells.map(bytes);
        let cells = cells.iter().map(String::as_str).chain([by]);
        let device =
            if process.device == 0 { String::new() } else { format!(", {}", process.device) };
        page.row(0, &format!("{}, pid {}{device}", process.name, process.pid), cells);
    }
}

fn gpus(page: &mut Page, gpus: &[GpuPeak]) {
    if !gpus.is_empty() {
        page.gap();
    }
    for gpu in gpus {
        let name = if gpu.name.is_empty() { "GPU" } else { &gpu.name };
        let (peak, total) = (bytes(gpu.peak_bytes), bytes(gpu.total_bytes));
        page.line(0, &format!("{name}  {}  at most {peak} of {total} in use", gpu.uuid));
    }
}
