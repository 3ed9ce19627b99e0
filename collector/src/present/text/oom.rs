//! Times PyTorch's allocator gave up: one of the verdicts, and in full beside the device.

use super::{
    amount::{bytes, clock},
    page::Page,
    site, who,
};
use crate::present::report::{Device, Oom, Process, Report};

/// Events shown of one device, the last ones.
const SHOWN: usize = 3;

/// The last event of each device that had one; whether there was any.
pub(super) fn verdicts(page: &mut Page, report: &Report) -> bool {
    let mut any = false;
    for process in &report.processes {
        for device in &process.devices {
            let Some(last) = device.ooms.last() else { continue };
            page.paragraph(0, "NO MEMORY:  ", &verdict(report, process, device, last));
            any = true;
        }
    }
    any
}

fn verdict(report: &Report, process: &Process, device: &Device, last: &Oom) -> String {
    let times = match device.ooms.len() {
        1 => String::new(),
        times => format!("{times} times, last "),
    };
    format!(
        "{} (pid {}) ran out of memory on device {} {times}at {}: {}.",
        who::name(process.role.as_deref(), &process.command),
        process.pid,
        device.device,
        clock(last.time_ns),
        sentence(report, last),
    )
}

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
