//! Times PyTorch's allocator gave up, beside the device.

use super::{
    amount::{bytes, clock},
    page::Page,
    site,
};
use crate::present::report::{Oom, Report};

/// Events shown of one device, the last ones.
const SHOWN: usize = 3;

/// The last events of a device, one after the other.
pub(super) fn list(page: &mut Page, report: &Report, indent: usize, ooms: &[Oom]) {
    for oom in &ooms[ooms.len().saturating_sub(SHOWN)..] {
        page.line(indent, &format!("out of memory at {}:", clock(oom.time_ns)));
        page.paragraph(indent + 2, "", &sentence(report, oom));
    }
}

fn sentence(report: &Report, oom: &Oom) -> String {
    format!(
        "{} asked for at {} with {} free on the device; {} reserved, {} of it allocated",
        bytes(oom.requested_bytes),
        site::name(report, &oom.site),
        bytes(oom.device_free_bytes),
        bytes(oom.reserved_bytes),
        bytes(oom.allocated_bytes),
    )
}
