//! A process: who it is, what it holds on each device, and what to know about the numbers.

use std::collections::HashMap;

use super::{
    amount::{bytes, clock, count, known, percent},
    growth, lines, loose, oom, owner,
    page::Page,
    phases, segment, shared, untracked, who,
};
use crate::present::{
    report::{
        Allocator, Device, Direction, Events, GraphPools, Process, ProcessState, Report, SiteUse,
    },
    total,
};

/// What was live at the peak is not listed again where the lists differ by no more of it than one
/// part in so many.
const ALIKE: u64 = 100;
/// Processes that differ by nothing but their pids are listed one by one up to so many.
const FEW: usize = 3;

/// Whether a process needs a section: it holds or held something, or something is to be known of
/// it. Many a process asks CUDA whether it is there, and never takes memory.
pub(super) fn has_something_to_tell(process: &Process) -> bool {
    let nothing = process.devices.is_empty()
        && process.pinned_host_bytes == 0
        && process.events == Events::default()
        && process.warnings.is_empty();
    process.cuda && !nothing
}

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
    if let Some(growth) = &process.growth {
        growth::show(page, report, growth);
    }
    phases::show(page, report, &process.phases);
    losses(page, process);
    for warning in &process.warnings {
        page.paragraph(2, "Warning: ", warning);
    }
}

/// The processes that hold nothing, in a paragraph or two: a job has many.
pub(super) fn others(page: &mut Page, report: &Report) {
    let others = || report.processes.iter().filter(|process| !has_something_to_tell(process));
    paragraph(page, "No CUDA memory, ever: ", others().filter(|process| process.cuda));
    // Only NVML tells of one without a ledger that it was on no card.
    let is_known = report.gpus.iter().any(|gpu| gpu.nvml_time_ns.is_some());
    let label = if is_known {
        "Never used CUDA: "
    } else {
        "Left no ledger, so never used CUDA or ran without the library: "
    };
    paragraph(page, label, others().filter(|process| !process.cuda));
}

fn paragraph<'a>(page: &mut Page, label: &str, processes: impl Iterator<Item = &'a Process>) {
    let named = alike(processes);
    if !named.is_empty() {
        page.gap();
        page.paragraph(0, label, &named.join(", "));
    }
}

/// Each process by name, pid and how it ended; of more than [`FEW`] that differ by their pids alone,
/// as a compiler's that is started for each kernel, how many there are.
fn alike<'a>(processes: impl Iterator<Item = &'a Process>) -> Vec<String> {
    let mut groups: Vec<(String, String, Vec<u32>)> = Vec::new();
    let mut places: HashMap<(String, String), usize> = HashMap::new();
    for process in processes {
        let name = who::name(process.role.as_deref(), &process.command);
        let ending = ending(process);
        let place = *places.entry((name.clone(), ending.clone())).or_insert(groups.len());
        if place == groups.len() {
            groups.push((name, ending, Vec::new()));
        }
        groups[place].2.push(process.pid);
    }
    let told = groups.iter().flat_map(|(name, ending, pids)| match pids.len() {
        ..=FEW => pids.iter().map(|pid| format!("{name} (pid {pid}, {ending})")).collect(),
        many => vec![format!("{name} ({many} processes, {ending})")],
    });
    told.collect()
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
    if is_untouched(device) {
        let context =
            device.nvml_bytes.map(|nvml| format!("; NVML says {}: the context", bytes(nvml)));
        page.line(4, &format!("took no memory here, ever{}", context.unwrap_or_default()));
        return;
    }
    holdings(page, report, device);
    shared::list(page, report, device);
    loose::list(page, report, device);
    untracked::list(page, 4, &device.untracked_steps);
    trend(page, report, device);
    live(page, report, device, when);
    for allocator in device.allocators.iter().filter(|a| !a.graph_pools.sites.is_empty()) {
        page.line(4, &graph_pools(&allocator.graph_pools));
        let sites = allocator.graph_pools.sites.iter();
        lines::list(page, report, 4, "extent", sites.map(lines::Item::from));
    }
    oom::list(page, report, 4, &device.ooms);
    if let Some(segments) = &device.segments {
        segment::list(page, report, 4, segments);
    }
}

/// What did not stay level after the start.
fn trend(page: &mut Page, report: &Report, device: &Device) {
    let Some(trend) = &device.trend else { return };
    let figures = [("allocated", &trend.allocated), ("reserved", &trend.reserved)];
    let told = figures.into_iter().filter_map(|(what, course)| {
        let (bytes, since) = (bytes(course.bytes.unwrap_or(0)), course.since_ns.map(clock));
        let since = since.unwrap_or_default();
        Some(match course.verdict {
            Direction::NotEnough | Direction::Level => return None,
            Direction::Growing => format!("{what} grows, by {bytes} since {since}"),
            Direction::Step => {
                let line =
                    course.site.as_ref().and_then(|site| report.sites.get(site)?.line.clone());
                let taken = line.map(|line| format!(", most of it at {line}")).unwrap_or_default();
                format!("{what} grew once, by {bytes} at {since}{taken}")
            }
            Direction::Saturating => format!("{what} grew, and less and less"),
            Direction::Periodic => format!("{what} comes and goes"),
        })
    });
    let told: Vec<String> = told.collect();
    if !told.is_empty() {
        page.paragraph(4, "after the start: ", &told.join("; "));
    }
}

/// Whether a context was made there and nothing more.
fn is_untouched(device: &Device) -> bool {
    let beside = [device.peak_reserved_bytes, device.imported_bytes, device.managed_bytes];
    beside == [0; 3]
        && device.sites.is_empty()
        && device.peak.time_ns == 0
        && device.ooms.is_empty()
        && device.segments.as_ref().is_none_or(Vec::is_empty)
}

/// What is live by line of code, and what was when most was.
fn live(page: &mut Page, report: &Report, device: &Device, when: &str) {
    if !device.sites.is_empty() {
        page.line(4, &format!("live {when}, by the line that asked for it:"));
        lines::list(page, report, 4, "block", device.sites.iter().map(lines::Item::from));
    }
    let Some(sites) = &device.peak.sites else { return };
    let most = total(sites.iter().map(|used| used.live_bytes));
    let clock = clock(device.peak.time_ns);
    match difference(&device.sites, sites) {
        0 => {}
        little if little <= most / ALIKE => {
            page.line(
                4,
                &format!(
                    "most was live at {clock}: {}, at the same lines but for {}",
                    bytes(most),
                    bytes(little)
                ),
            );
        }
        _ => {
            page.line(4, &format!("live at {clock}, when most was:"));
            lines::list(page, report, 4, "block", sites.iter().map(lines::Item::from));
        }
    }
}

/// What stands above the list of graph pools.
fn graph_pools(pools: &GraphPools) -> String {
    let without = if pools.allocated_bytes == 0 { " without a live block" } else { "" };
    let since = pools.since_ns.map(|since| format!(", since {}", clock(since))).unwrap_or_default();
    format!("graph pools{without}{since}, by the line that made them grow:")
}

/// Bytes that one list has and the other has not, summed up site by site.
fn difference(one: &[SiteUse], other: &[SiteUse]) -> u64 {
    let by_site = |sites: &[SiteUse]| -> HashMap<String, u64> {
        sites.iter().map(|used| (used.site.clone(), used.live_bytes)).collect()
    };
    let (one, other) = (by_site(one), by_site(other));
    let common =
        one.iter().map(|(site, bytes)| bytes.abs_diff(other.get(site).copied().unwrap_or(0)));
    let rest = other.iter().filter(|(site, _)| !one.contains_key(*site)).map(|(_, bytes)| *bytes);
    total(common.chain(rest))
}

/// The table of owners, and what stands beside it.
fn holdings(page: &mut Page, report: &Report, device: &Device) {
    let heads = ["reserved", "allocated", "stranded", "releasable", "private", "unbacked"];
    page.row(4, "", heads);
    for each in &device.allocators {
        allocator(page, each);
    }
    let others = device
        .owners
        .iter()
        .filter(|owner| device.allocators.iter().all(|allocator| allocator.name != owner.name));
    for owner in others {
        owner::show(page, report, owner);
    }
    let all = (device.reserved_bytes, device.peak_reserved_bytes);
    let said = |a: &Allocator| (a.reserved_bytes, a.peak_reserved_bytes) == all;
    if !device.allocators.iter().any(said) {
        page.row(4, "all", [bytes(all.0).as_str()]);
        page.row(4, "  at most", [bytes(all.1).as_str()]);
    }
    page.paragraph(4, "", &beside(device));
}

fn allocator(page: &mut Page, allocator: &Allocator) {
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
    let pools = &allocator.graph_pools;
    if pools.reserved_bytes > 0 {
        let cells = [bytes(pools.reserved_bytes), bytes(pools.allocated_bytes)];
        page.row(4, "  of it graph pools", cells.iter().map(String::as_str));
    }
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
    let kinds: Vec<String> = kinds
        .iter()
        .filter(|(_, amount)| *amount > 0)
        .map(|(name, amount)| format!("{name} {}", bytes(*amount)))
        .collect();
    let mut parts: Vec<String> = Vec::new();
    if !kinds.is_empty() {
        parts.push(format!("by kind: {}", kinds.join(", ")));
    }
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
    if parts.is_empty() { "nothing reserved".to_owned() } else { parts.join("; ") }
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
