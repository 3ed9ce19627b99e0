//! A process: who it is, what it holds on each device, and what to know about the numbers.

use super::{
    amount::{bytes, clock, count, known, percent},
    oom,
    page::Page,
    segment, site, who,
};
use crate::present::report::{Device, Process, ProcessState, Report};

pub(super) fn show(page: &mut Page, report: &Report, process: &Process) {
    let name = who::name(process.role.as_deref(), &process.command);
    page.line(0, &format!("{name}  pid {}  {}", process.pid, ending(process)));
    page.line(2, &process.command);
    let when = if process.state == ProcessState::Running { "now" } else { "at its end" };
    for each in &process.devices {
        device(page, report, each, when);
    }
    if process.pinned_host_bytes > 0 {
        page.line(2, &format!("pinned host memory: {}", bytes(process.pinned_host_bytes)));
    }
    losses(page, process);
    for warning in &process.warnings {
        page.paragraph(2, "Warning: ", warning);
    }
}

/// The processes that hold nothing, in one paragraph: a job has many.
pub(super) fn bystanders(page: &mut Page, report: &Report) {
    let others = report.processes.iter().filter(|process| !process.cuda);
    let named: Vec<String> = others
        .map(|process| {
            let name = who::name(process.role.as_deref(), &process.command);
            format!("{name} (pid {}, {})", process.pid, ending(process))
        })
        .collect();
    if !named.is_empty() {
        page.gap();
        page.paragraph(0, "Never used CUDA: ", &named.join(", "));
    }
}

fn ending(process: &Process) -> String {
    match (process.state, process.exit_code, process.signal) {
        (ProcessState::Running, ..) => "running".to_owned(),
        (ProcessState::Exited, Some(code), _) => format!("exited with {code}"),
        (ProcessState::Exited, None, _) => "exited".to_owned(),
        (ProcessState::Killed, _, Some(signal)) => format!("killed by signal {signal}"),
        (ProcessState::Killed, ..) => "killed".to_owned(),
        (ProcessState::Ended, ..) => "ended, nobody saw how".to_owned(),
    }
}

fn device(page: &mut Page, report: &Report, device: &Device, when: &str) {
    page.line(2, &format!("device {}  {}", device.device, device.uuid));
    holdings(page, device);
    let peak = &device.peak;
    if !device.sites.is_empty() {
        page.line(4, &format!("live {when}, by the line that asked for it:"));
        site::list(page, report, 4, &device.sites);
    }
    if let Some(sites) = peak.sites.as_ref().filter(|sites| **sites != device.sites) {
        page.line(4, &format!("live at {}, when most was:", clock(peak.time_ns)));
        site::list(page, report, 4, sites);
    }
    oom::list(page, report, 4, &device.ooms);
    if let Some(segments) = &device.segments {
        segment::list(page, report, 4, segments);
    }
}

/// The table of owners, and what stands beside it.
fn holdings(page: &mut Page, device: &Device) {
    let heads = ["reserved", "allocated", "stranded", "releasable", "private", "unbacked"];
    page.row(4, "", heads);
    for allocator in &device.allocators {
        let backend = allocator.backend.as_deref().map(|backend| format!(" ({backend})"));
        let cells = [
            bytes(allocator.reserved_bytes),
            known(allocator.allocated_bytes),
            bytes(allocator.stranded_bytes),
            bytes(allocator.releasable_bytes),
            bytes(allocator.private_bytes),
            bytes(allocator.unbacked_bytes),
        ];
        let name = format!("{}{}", allocator.name, backend.unwrap_or_default());
        page.row(4, &name, cells.iter().map(String::as_str));
        let peaks = [bytes(allocator.peak_reserved_bytes), known(allocator.peak_allocated_bytes)];
        page.row(4, "  at most", peaks.iter().map(String::as_str));
    }
    let others = device
        .owners
        .iter()
        .filter(|owner| device.allocators.iter().all(|allocator| allocator.name != owner.name));
    for owner in others {
        page.row(4, &owner.name, [bytes(owner.bytes).as_str()]);
    }
    page.row(4, "all", [bytes(device.reserved_bytes).as_str()]);
    page.row(4, "  at most", [bytes(device.peak_reserved_bytes).as_str()]);
    page.paragraph(4, "", &beside(device));
}

/// By kind, and what is not among the reserved.
fn beside(device: &Device) -> String {
    let kind = &device.by_kind;
    let kinds = [
        ("linear", kind.linear),
        ("vmm", kind.vmm),
        ("pool", kind.pool),
        ("array", kind.array),
        ("graph", kind.graph),
    ];
    let mut parts: Vec<String> = kinds
        .iter()
        .filter(|(_, amount)| *amount > 0)
        .map(|(name, amount)| format!("{name} {}", bytes(*amount)))
        .collect();
    let besides = [("imported", device.imported_bytes), ("managed", device.managed_bytes)];
    parts.extend(
        besides
            .iter()
            .filter(|(_, amount)| *amount > 0)
            .map(|(name, amount)| format!("{name} (not in it) {}", bytes(*amount))),
    );
    if let Some(nvml) = device.nvml_bytes {
        let share = percent(device.reserved_bytes, nvml);
        parts.push(format!("NVML says {} ({share} % tracked)", bytes(nvml)));
    }
    if parts.is_empty() { "nothing reserved".to_owned() } else { parts.join(", ") }
}

/// What is missing of the timeline, and what nobody can know.
fn losses(page: &mut Page, process: &Process) {
    let events = &process.events;
    let counts =
        [(events.dropped, "dropped"), (events.overwritten, "overwritten before they were read")];
    let lost: Vec<String> = counts
        .iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, what)| format!("{number} {what}"))
        .collect();
    if !lost.is_empty() {
        let text = format!("{} seen, {}", events.seen, lost.join(", "));
        page.paragraph(2, "Events: ", &format!("{text}; what is held is exact all the same"));
    }
    if events.in_flight > 0 && process.state != ProcessState::Running {
        let calls = count(events.in_flight, "call");
        let text = format!("{calls} taking or giving back memory when it died");
        page.paragraph(2, "In flight: ", &text);
    }
}
