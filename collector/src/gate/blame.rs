//! The line of code that a measured number points to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    present::report::{self, Report},
    process::Process,
    state::{Device, Site},
    symbol::{
        place::{is_users, place},
        site::{Frame, Sites, Stacks},
    },
};

/// A line of code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// In words, as the report has it.
    pub text: String,
    /// The file as Python has it.
    pub file: String,
    /// The number; null where Python knows none.
    pub line: Option<u32>,
}

/// The line that most of a growth by `growth` bytes on a device points to. Where what is live and was
/// taken after `warm`, ns of `CLOCK_MONOTONIC`, is half of it or more, that is kept: the line that took most
/// of it. Else the driver was asked for what went back to the allocator: the line for which it was.
pub(super) fn grown(process: &Process, device: Device, warm: u64, growth: u64) -> Option<Line> {
    let state = &process.played.state;
    let blocks = state.live_blocks().filter(|b| b.device == device && b.birth > warm);
    let kept = most(blocks.map(|block| (block.site, block.bytes)));
    let (sum, kept_at) = kept.map_or((0, None), |(sum, site)| (sum, Some(site)));
    let segments = state.segments(device);
    let since = segments.iter().filter(|s| s.kind.reserved() && s.birth > warm);
    let taken_at = || most(since.map(|segment| (segment.site, segment.size))).map(|(_, site)| site);
    let site = kept_at.filter(|_| sum >= growth / 2).or_else(taken_at).or(kept_at);
    line(process, site?)
}

/// The sum, and who took most of it.
fn most(taken: impl Iterator<Item = (Site, u64)>) -> Option<(u64, Site)> {
    let mut by_site = BTreeMap::<Site, u64>::new();
    for (site, bytes) in taken {
        let sum = by_site.entry(site).or_default();
        *sum = sum.saturating_add(bytes);
    }
    let sum = by_site.values().fold(0_u64, |sum, bytes| sum.saturating_add(*bytes));
    by_site.into_iter().max_by_key(|(_, bytes)| *bytes).map(|(site, _)| (sum, site))
}

fn line(process: &Process, site: Site) -> Option<Line> {
    let (mut sites, mut stacks) = (Sites::default(), Stacks::new(&process.tables, None));
    let id = stacks.site(&mut sites, site.native, site.python);
    let frames = sites.frames(id);
    let python = || {
        frames.iter().filter_map(|frame| match frame {
            Frame::Python { file, line, .. } => Some((file, *line)),
            _ => None,
        })
    };
    let (file, line) = python().find(|(file, _)| is_users(file)).or_else(|| python().next())?;
    Some(Line { text: place(frames)?.to_string(), file: file.to_string(), line })
}

/// The line of a site of the report; `None` without a Python stack.
pub(super) fn reported(report: &Report, site: &str) -> Option<Line> {
    let site = report.sites.get(site)?;
    let python = || {
        site.frames.iter().filter_map(|frame| match frame {
            report::Frame::Python { file, line, .. } => Some((file, *line)),
            report::Frame::Native { .. } => None,
        })
    };
    let (file, line) = python().find(|(file, _)| is_users(file)).or_else(|| python().next())?;
    Some(Line { text: site.line.clone()?, file: file.clone(), line })
}

/// The line that had most when most was live in the process that took most of a GPU, and that process's
/// pid.
pub(super) fn at_peak(report: &Report, uuid: &str) -> Option<(u32, Option<Line>)> {
    let on = report.processes.iter().flat_map(|process| {
        process.devices.iter().filter(|device| device.uuid == uuid).map(move |d| (process, d))
    });
    let (process, device) = on.max_by_key(|(_, device)| device.peak_reserved_bytes)?;
    let sites = device.peak.sites.as_ref().unwrap_or(&device.sites);
    let line = sites.first().and_then(|used| reported(report, &used.site));
    Some((process.pid, line))
}
