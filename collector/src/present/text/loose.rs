//! Memory that is mapped nowhere, and memory whose handle was released, a line for each who took some.

use super::{bytes, clock, count, page::Page, site};
use crate::present::report::{Device, LooseHandles, Missing, Report};

/// Lines of a list; of more it says how many.
const MOST: usize = 6;

pub(super) fn list(page: &mut Page, report: &Report, device: &Device) {
    for loose in device.loose_handles.iter().take(MOST) {
        let label = format!("{} {} ", label(loose.missing), bytes(loose.bytes));
        page.paragraph(4, &label, &about(report, loose));
    }
    let rest = device.loose_handles.len().saturating_sub(MOST);
    if rest > 0 {
        page.line(4, &format!("and {}", count(rest as u64, "more line")));
    }
}

const fn label(missing: Missing) -> &'static str {
    match missing {
        Missing::Mapping => "mapped nowhere",
        Missing::Name => "kept without a handle",
    }
}

fn about(report: &Report, loose: &LooseHandles) -> String {
    format!(
        "in {}, since {}, taken at {}",
        count(loose.handles, "handle"),
        clock(loose.since_ns),
        site::name(report, &loose.site),
    )
}
