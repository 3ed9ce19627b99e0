//! The segment map: a line per segment, with what keeps it.

use super::{
    amount::{bytes, count},
    page::Page,
    site,
};
use crate::present::{
    report::{Report, Segment},
    total,
};

pub(super) fn list(page: &mut Page, report: &Report, indent: usize, segments: &[Segment]) {
    page.line(indent, &format!("{}:", count(segments.len() as u64, "segment")));
    for segment in segments {
        let line = format!(
            "{:<16} {:>11} {:<8} {:<16} {}",
            segment.address,
            bytes(segment.size),
            segment.kind,
            segment.owner,
            site::name(report, &segment.site),
        );
        page.line(indent + 2, &line);
        let keeps = keeps(segment);
        if !keeps.is_empty() {
            page.line(indent + 2 + 17, &keeps);
        }
    }
}

/// What lies in a segment and what becomes of the rest.
fn keeps(segment: &Segment) -> String {
    let mut parts = Vec::new();
    if segment.extents > 1 {
        parts.push(count(segment.extents, "extent"));
    }
    if !segment.blocks.is_empty() {
        let live = total(segment.blocks.iter().map(|block| block.size));
        parts.push(format!("{} of {}", count(segment.blocks.len() as u64, "block"), bytes(live)));
    }
    let free = [
        ("stranded", segment.stranded_bytes),
        ("releasable", segment.releasable_bytes),
        ("private", segment.private_bytes),
    ];
    let free = free.iter().filter(|(_, amount)| *amount > 0);
    parts.extend(free.map(|(name, amount)| format!("{} {name}", bytes(*amount))));
    parts.join(", ")
}
