//! Phases of a process: what memory did in each.

use super::{
    amount::{bytes, clock, count},
    lines,
    page::{Page, clean},
};
use crate::present::report::{Phase, PhaseDevice, PhaseSite, Phases, Report};

/// Phases shown: those that took most time. The rest is one line.
const MOST: usize = 8;
/// Those of them whose lines are shown.
const LISTED: usize = 4;
/// Less than this of a run's time, ns, is none of its phases: libraries of NVIDIA's name each of
/// their calls for profilers.
const BRIEF: u64 = 100_000_000;
/// Marks shown.
const MARKS: usize = 5;

impl<'a> From<&'a PhaseSite> for lines::Item<'a> {
    fn from(used: &'a PhaseSite) -> Self {
        Self::plain(&used.site, used.bytes, used.blocks)
    }
}

pub(super) fn show(page: &mut Page, report: &Report, phases: &Phases) {
    if phases.phases.is_empty() && phases.marks.is_empty() && phases.ends_without_begin == 0 {
        return;
    }
    page.line(2, &heading(phases));
    let (brief, told): (Vec<&Phase>, Vec<&Phase>) =
        phases.phases.iter().partition(|phase| is_brief(phase));
    for (at, phase) in told.iter().take(MOST).enumerate() {
        one(page, report, phase, at < LISTED);
    }
    if let Some(more @ 1..) = told.len().checked_sub(MOST) {
        page.line(4, &format!("and {} of other names, each shorter", count(more as u64, "phase")));
    }
    if !brief.is_empty() {
        let names = count(brief.len() as u64, "name");
        page.line(4, &format!("{names} with less than 0.1 s in all, of which nothing survived"));
    }
    for mark in phases.marks.iter().take(MARKS) {
        let times = count(mark.count, "time");
        let when = clock(mark.last_ns);
        page.line(4, &format!("mark {}  {times}, last at {when}", clean(&mark.name)));
    }
    if let Some(more @ 1..) = phases.marks.len().checked_sub(MARKS) {
        page.line(4, &format!("and {} of other names", count(more as u64, "mark")));
    }
    if phases.ends_without_begin > 0 {
        let ends = count(phases.ends_without_begin, "end");
        page.line(4, &format!("{ends} of phases whose begin was not seen"));
    }
}

/// Whether a phase took next to no time, and left nothing.
fn is_brief(phase: &Phase) -> bool {
    let survived = |device: &PhaseDevice| device.most_survived_bytes.is_some_and(|most| most > 0);
    phase.count > 0
        && phase.open + phase.unended + phase.cut == 0
        && phase.time_ns < BRIEF
        && !phase.devices.iter().any(survived)
}

fn heading(phases: &Phases) -> String {
    let since = phases
        .known_since_ns
        .map(|since| format!(" since {}, which is as far back as its ring reaches", clock(since)));
    let steps = phases
        .steps
        .as_ref()
        .map(|steps| format!("; its step is {}, {} so far", clean(&steps.name), steps.count));
    format!("phases{}{}:", since.unwrap_or_default(), steps.unwrap_or_default())
}

fn one(page: &mut Page, report: &Report, phase: &Phase, listed: bool) {
    page.line(4, &format!("{}  {}", clean(&phase.name), times(phase)));
    for device in &phase.devices {
        page.line(6, &format!("device {}: {}", device.device, peak(device)));
        if let Some(survived) = survived(device, phase) {
            page.line(8, &survived);
        }
        if !listed {
            continue;
        }
        if !device.peak_sites.is_empty() {
            page.line(8, "live at its peak, by line:");
            lines::list(page, report, 8, "block", device.peak_sites.iter().map(lines::Item::from));
        }
        if !device.survivor_sites.is_empty() {
            page.line(8, "survived the last, by line:");
            let sites = device.survivor_sites.iter();
            lines::list(page, report, 8, "block", sites.map(lines::Item::from));
        }
    }
}

fn times(phase: &Phase) -> String {
    let mut parts = Vec::new();
    if phase.count > 0 {
        let [all, longest] = [phase.time_ns, phase.longest_ns].map(seconds);
        parts.push(format!(
            "{}, {all} s together, {longest} s the longest",
            count(phase.count, "time")
        ));
    }
    for (number, what) in [
        (phase.open, "open at the end"),
        (phase.unended, "ended only by the phase around it"),
        (phase.cut, "not followed, because events were lost or too many were open"),
    ] {
        if number > 0 {
            parts.push(format!("{number} {what}"));
        }
    }
    parts.join("; ")
}

fn peak(device: &PhaseDevice) -> String {
    let reserved = format!("{} reserved", bytes(device.peak_reserved_bytes));
    match device.peak_allocated_bytes {
        Some(allocated) => format!("at most {} allocated, {reserved}", bytes(allocated)),
        None => format!("at most {reserved}; nothing reports blocks"),
    }
}

fn survived(device: &PhaseDevice, phase: &Phase) -> Option<String> {
    let (last, most) = (bytes(device.survived_bytes?), bytes(device.most_survived_bytes?));
    match phase.count {
        0 => None,
        1 => Some(format!("{last} survived it")),
        _ => Some(format!("{last} survived the last, {most} at most")),
    }
}

/// Seconds with three decimals.
fn seconds(ns: u64) -> String {
    let thousandths = ns / 1_000_000;
    format!("{}.{:03}", thousandths / 1000, thousandths % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_that_took_no_time_is_left_out_unless_it_left_something() {
        let device = PhaseDevice {
            device: 0,
            peak_allocated_bytes: Some(512),
            peak_time_ns: None,
            peak_sites: Vec::new(),
            peak_reserved_bytes: 512,
            survived_bytes: Some(0),
            survived_blocks: Some(0),
            survivor_sites: Vec::new(),
            most_survived_bytes: Some(0),
        };
        let phase = Phase {
            name: "scan".to_owned(),
            count: 354,
            time_ns: BRIEF - 1,
            longest_ns: 1,
            first_ns: None,
            last_ns: None,
            open: 0,
            unended: 0,
            cut: 0,
            devices: vec![device.clone()],
        };
        assert!(is_brief(&phase));
        assert!(!is_brief(&Phase { time_ns: BRIEF, ..phase.clone() }));
        assert!(!is_brief(&Phase { open: 1, ..phase.clone() }));
        let left = PhaseDevice { most_survived_bytes: Some(1), ..device };
        assert!(!is_brief(&Phase { devices: vec![left], ..phase }));
    }
}
