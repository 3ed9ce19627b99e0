//! What an owner took from the driver, where nobody tells its blocks.

use super::{bytes, clock, count, page::Page, site};
use crate::present::report::{Burst, Owner, Report, SizeClass};

/// Sizes and bursts shown of an owner.
const SHOWN: usize = 4;

/// The row of an owner in the table, and below it the sizes of its extents, and when it took much.
pub(super) fn show(page: &mut Page, report: &Report, owner: &Owner) {
    page.row(4, &owner.name, [bytes(owner.bytes).as_str()]);
    if owner.extents > 1 {
        page.paragraph(6, "", &sizes(owner));
    }
    for burst in owner.bursts.iter().take(SHOWN) {
        page.paragraph(6, "", &said(report, burst));
    }
    if owner.bursts.len() > SHOWN {
        let more = count((owner.bursts.len() - SHOWN) as u64, "more time");
        page.line(6, &format!("and {more} much at once"));
    }
}

fn sizes(owner: &Owner) -> String {
    let shown = &owner.sizes[..owner.sizes.len().min(SHOWN)];
    let of = |class: &SizeClass| format!("{} of {}", class.extents, bytes(class.size));
    let mut parts: Vec<String> = shown.iter().map(of).collect();
    let rest = owner.extents - shown.iter().map(|class| class.extents).sum::<u64>();
    if rest > 0 {
        parts.push(format!("{rest} of other sizes"));
    }
    format!("in {}: {}", count(owner.extents, "extent"), parts.join(", "))
}

fn said(report: &Report, burst: &Burst) -> String {
    let (amount, time) = (bytes(burst.bytes), clock(burst.time_ns));
    let (calls, line) = (count(burst.calls, "call"), site::name(report, &burst.site));
    let from = site::callers(report, &burst.site).next().map(site::frame);
    let from = from.map(|from| format!(", from {from}")).unwrap_or_default();
    format!("took {amount} of it at {time} in {calls} of {}, at {line}{from}", burst.call)
}
