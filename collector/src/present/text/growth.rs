//! Lines of code that have more live than when the process was warm.

use super::{
    amount::{bytes, clock, count},
    page::{Page, WIDTH},
    site,
};
use crate::present::report::{Growth, GrowthSite, Report};

/// Callers shown below a line.
const CALLERS: usize = 3;
/// Columns before what stands below a line.
const BELOW: usize = 29;

pub(super) fn show(page: &mut Page, report: &Report, growth: &Growth) {
    let since = format!("{}, the end of its warm-up", clock(growth.since_ns));
    if growth.sites.is_empty() && growth.others == 0 {
        page.line(2, &format!("no line has more live than at {since}"));
        return;
    }
    page.line(2, &format!("grown since {since}, by line:"));
    let many = growth.sites.iter().any(|site| site.device != growth.sites[0].device);
    for grown in &growth.sites {
        one(page, report, grown, many);
    }
    if growth.others > 0 {
        let by = bytes(growth.others_bytes);
        page.line(4, &format!("and {}, by {by}", count(growth.others, "other line")));
    }
}

fn one(page: &mut Page, report: &Report, grown: &GrowthSite, many: bool) {
    let GrowthSite { first_bytes, last_bytes, first_blocks, last_blocks, .. } = *grown;
    let by = format!("+{}", bytes(last_bytes.saturating_sub(first_bytes)));
    let sign = if last_blocks >= first_blocks { "+" } else { "-" };
    let blocks = format!("{sign}{}", count(last_blocks.abs_diff(first_blocks), "block"));
    let line = format!("{by:>11} {blocks:>11}  ");
    let width = WIDTH.saturating_sub(4 + line.chars().count());
    page.line(4, &format!("{line}{}", site::fit(&site::name(report, &grown.site), width)));
    let width = WIDTH.saturating_sub(BELOW + 5);
    for caller in site::callers(report, &grown.site).take(CALLERS) {
        page.line(BELOW, &format!("from {}", site::fit(&site::frame(caller), width)));
    }
    let device = if many { format!(" on device {}", grown.device) } else { String::new() };
    let from = format!("{} then, {} now{device}", bytes(first_bytes), bytes(last_bytes));
    page.line(BELOW, &from);
}
