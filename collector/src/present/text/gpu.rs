//! A GPU and who is on it: what NVML says, and how much of it the ledgers explain.

use super::{
    amount::{bytes, clock, known, percent},
    page::{NAME, Page, cut},
    who,
};
use crate::present::{
    report::{Gpu, GpuProcess, Process, ProcessState, Report},
    total,
};

/// Of a holder's row.
const INDENT: usize = 2;

pub(super) fn show(page: &mut Page, report: &Report, gpu: &Gpu) {
    let name = if gpu.name.is_empty() { "GPU" } else { &gpu.name };
    page.line(0, &format!("{name}  {}  {}", gpu.uuid, bytes(gpu.total_bytes)));
    if let (Some(used), true, true) =
        (gpu.nvml_used_bytes, gpu.processes.is_empty(), gpu.untraced.is_empty())
    {
        page.line(2, &format!("no process of this report is on it; {} in use", bytes(used)));
        return;
    }
    page.row(2, &when(report, gpu), ["reserved", "NVML says", "tracked"]);
    for process in &gpu.processes {
        let tracked = process
            .nvml_bytes
            .map(|nvml| format!("{} %", percent(process.reserved_bytes, nvml)))
            .unwrap_or_default();
        let cells = [&bytes(process.reserved_bytes), &known(process.nvml_bytes), &tracked];
        page.row(INDENT, &holder(report, process), cells.map(String::as_str));
    }
    for process in &gpu.untraced {
        let name = format!("not traced here, pid {}", process.pid);
        page.row(2, &name, ["–", &known(process.nvml_bytes)]);
    }
    if let (Some(used), Some(unexplained)) = (gpu.nvml_used_bytes, gpu.unexplained_bytes) {
        page.row(2, "unexplained", ["–", &bytes(unexplained)]);
        let reserved = total(gpu.processes.iter().map(|process| process.reserved_bytes));
        page.row(2, "in use", [bytes(reserved).as_str(), &bytes(used)]);
    }
}

/// When NVML said it, where that is not now: of a job that has ended.
fn when(report: &Report, gpu: &Gpu) -> String {
    let runs = |process: &Process| process.cuda && process.state == ProcessState::Running;
    let running = report.processes.iter().any(runs);
    let time = gpu.nvml_time_ns.filter(|_| !running);
    time.map(|time| format!("at {}", clock(time))).unwrap_or_default()
}

fn holder(report: &Report, process: &GpuProcess) -> String {
    let known = |known: &&Process| known.instance.as_deref() == Some(&process.instance);
    let known = report.processes.iter().find(known);
    let ended = known.is_some_and(|known| known.state != ProcessState::Running);
    let command = known.map_or("", |known| &known.command);
    let name = who::name(process.role.as_deref(), command);
    // A job has several of the same long name: the pid tells which it is, and is not cut.
    let rest = format!(", pid {}{}", process.pid, if ended { ", ended" } else { "" });
    let room = NAME.saturating_sub(INDENT + rest.chars().count());
    format!("{}{rest}", cut(&name, room))
}
