//! How what no call took came about, beside the device.

use super::{
    amount::{bytes, clock, count},
    page::Page,
};
use crate::present::report::{CallCount, UntrackedStep};

/// Steps shown of one device, the largest.
const SHOWN: usize = 4;

pub(super) fn list(page: &mut Page, indent: usize, steps: &[UntrackedStep]) {
    let mut largest: Vec<&UntrackedStep> = steps.iter().collect();
    largest.sort_by_key(|step| std::cmp::Reverse(step.bytes));
    let rest = largest.split_off(largest.len().min(SHOWN));
    largest.sort_by_key(|step| step.until_ns);
    for step in largest {
        let label = format!("untracked grew by {} ", bytes(step.bytes));
        page.paragraph(indent, &label, &when(step));
    }
    if !rest.is_empty() {
        let sum = rest.iter().fold(0, |sum: u64, step| sum.saturating_add(step.bytes));
        let times = count(rest.len() as u64, "time");
        page.line(indent, &format!("untracked grew {times} more, by {} in all", bytes(sum)));
    }
}

fn when(step: &UntrackedStep) -> String {
    let calls: Vec<String> = step.calls.iter().map(told).collect();
    let beside = if calls.is_empty() { "no call tells why".to_owned() } else { calls.join(", ") };
    format!("from {} to {}; meanwhile: {beside}", clock(step.from_ns), clock(step.until_ns))
}

fn told(call: &CallCount) -> String {
    match call.count {
        1 => call.what.clone(),
        count => format!("{count} × {}", call.what),
    }
}
