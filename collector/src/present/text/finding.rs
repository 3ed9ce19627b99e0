//! What is wrong, in a sentence, and what to do about it.

use super::page::Page;
use crate::present::report::{Confidence, Finding};

pub(super) fn show(page: &mut Page, finding: &Finding) {
    let label = match finding.confidence {
        Confidence::Alert if finding.verdict == "out-of-memory" => "NO MEMORY:  ",
        Confidence::Alert => "PROBLEM:    ",
        Confidence::Suspect => "SUSPECT:    ",
        Confidence::Info => "INFO:       ",
    };
    page.paragraph(0, label, &finding.text);
    if !finding.advice.is_empty() {
        page.paragraph(0, "What to do: ", &finding.advice);
    }
}
