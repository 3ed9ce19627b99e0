//! The report for a person: verdicts first, then each GPU, then each process.

mod amount;
mod calm;
mod diff;
mod finding;
mod gpu;
mod growth;
mod lines;
mod loose;
mod oom;
mod owner;
mod page;
mod phases;
mod process;
mod segment;
mod shared;
mod site;
mod untracked;
mod who;

pub use amount::{bytes, clock, count, duration, fine_bytes, moment, percent, stamp};
pub use diff::render as render_diff;
pub use page::{Page, WIDTH, cut};
pub use who::name;

use super::report::{Confidence, Finding, Report};

/// The whole report, in lines of at most [`WIDTH`] columns.
#[must_use]
pub fn render(report: &Report) -> String {
    let mut page = Page::default();
    verdicts(&mut page, report);
    for gpu in &report.gpus {
        page.gap();
        gpu::show(&mut page, report, gpu);
    }
    for process in report.processes.iter().filter(|process| process::has_something_to_tell(process))
    {
        page.gap();
        process::show(&mut page, report, process);
    }
    process::others(&mut page, report);
    if !report.notes.is_empty() {
        page.gap();
    }
    for note in &report.notes {
        page.paragraph(0, "Note: ", note);
    }
    page.gap();
    page.line(0, &format!("As of {}.", moment(report.as_of_ns)));
    page.finish()
}

/// The first lines alone: what is wrong and what to do.
#[must_use]
pub fn head(report: &Report) -> String {
    let mut page = Page::default();
    verdicts(&mut page, report);
    page.finish()
}

fn verdicts(page: &mut Page, report: &Report) {
    let (told, wrong): (Vec<&Finding>, Vec<&Finding>) =
        report.findings.iter().partition(|finding| finding.confidence == Confidence::Info);
    for finding in &wrong {
        finding::show(page, finding);
    }
    if wrong.is_empty() {
        page.paragraph(0, "", &calm::sentence(report));
    }
    for finding in &told {
        finding::show(page, finding);
    }
}
