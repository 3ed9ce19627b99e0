//! Who holds whose memory, a line for each pair of processes.

use super::{bytes, clock, count, page::Page, site};
use crate::present::report::{Device, Export, Import, Opener, Peer, Process, ProcessState, Report};

/// Lines of a list; of more it says how many.
const MOST: usize = 6;

/// What the process has open of others, and what of its own others have open.
pub(super) fn list(page: &mut Page, report: &Report, device: &Device) {
    for import in device.imports.iter().take(MOST) {
        let label = format!("imported {} ", bytes(import.bytes));
        page.paragraph(4, &label, &imported(report, import));
    }
    more(page, device.imports.len(), "import");
    for export in device.exports.iter().take(MOST) {
        let label = format!("exported {} ", bytes(export.bytes + export.given_back_bytes));
        page.paragraph(4, &label, &exported(report, export));
    }
    more(page, device.exports.len(), "export");
}

fn more(page: &mut Page, all: usize, noun: &str) {
    if all > MOST {
        page.line(4, &format!("and {}", count((all - MOST) as u64, &format!("more {noun}"))));
    }
}

fn imported(report: &Report, import: &Import) -> String {
    let from = match (&import.from, import.likely) {
        (Some(peer), true) => format!("likely from {}", named(report, peer)),
        (Some(peer), false) => format!("from {}", named(report, peer)),
        (None, _) => "from a process that is not known".to_owned(),
    };
    format!(
        "{from}, in {}, since {}, opened at {}",
        count(import.pieces, "piece"),
        clock(import.since_ns),
        site::name(report, &import.site),
    )
}

fn exported(report: &Report, export: &Export) -> String {
    let pieces = count(export.pieces, "piece");
    let (since, line) = (clock(export.since_ns), site::name(report, &export.site));
    let gone = match export.given_back_bytes {
        0 => String::new(),
        gone => format!(", {} of it given back here", bytes(gone)),
    };
    let mut text = format!("in {pieces}, since {since}, taken at {line}{gone}; ");
    let openers: Vec<String> = export.opened_by.iter().map(|by| opener(report, by)).collect();
    if openers.is_empty() {
        text.push_str("no traced process opened it");
    } else {
        text.push_str(&openers.join("; "));
    }
    text
}

fn opener(report: &Report, opener: &Opener) -> String {
    let likely = if opener.likely { "likely " } else { "" };
    let who = named(report, &opener.by);
    let (opened, closed) = (count(opener.opens, "time"), count(opener.closes, "time"));
    let has_ended = process(report, &opener.by).is_some_and(|by| by.state != ProcessState::Running);
    let pieces = || format!("{} of {}", count(opener.pieces, "piece"), bytes(opener.bytes));
    let open = match opener.pieces {
        // An end closes what is left, and no call of the process says so; nothing else does. The process
        // itself may be left out of this report.
        0 if opener.opens > opener.closes => {
            let left = count(opener.opens - opener.closes, "time");
            return format!(
                "{likely}{who} has none open since it ended: opened {opened}, closed {closed}, and \
                 {left} by its end"
            );
        }
        0 => "has none open".to_owned(),
        _ if has_ended => format!("had {} open at its end", pieces()),
        _ => format!("has {} open", pieces()),
    };
    format!("{likely}{who} {open}, opened {opened}, closed {closed}")
}

/// A process as it is called elsewhere in the text.
fn named(report: &Report, peer: &Peer) -> String {
    let command = process(report, peer).map_or("", |process| process.command.as_str());
    format!("{} (pid {})", super::name(peer.role.as_deref(), command), peer.pid)
}

fn process<'a>(report: &'a Report, peer: &Peer) -> Option<&'a Process> {
    let is_it = |instance: &Option<String>| instance.as_deref() == Some(peer.instance.as_str());
    report.processes.iter().find(|process| is_it(&process.instance))
}
