//! Sites as lines of code.

use std::collections::HashMap;

use super::{
    amount::{bytes, count},
    page::Page,
};
use crate::{
    present::{
        report::{Frame, Report, Site, SiteUse},
        total,
    },
    symbol::{
        modules::file_name,
        place::{is_users, short_function, short_path},
    },
};

/// Lines of code shown of one list; the rest is one line.
pub const TOP_SITES: usize = 5;
/// Where no stack was taken: of a block there is a Python stack or none.
const NO_STACK: &str = "no Python stack";
/// Callers shown below a site.
const CALLERS: usize = 3;
/// What a line must have of the whole to be shown by itself, one part in so many.
const SHARE: u64 = 100;
/// What it must have besides: below this it would read 0.0 MiB.
const LEAST: u64 = (1 << 20) / 20;

/// A site in one line, for a sentence or a list.
pub(super) fn name(report: &Report, id: &str) -> String {
    match report.sites.get(id) {
        Some(Site { line: Some(line), .. }) => line.clone(),
        site => {
            let inner = site.and_then(|site| site.frames.first());
            inner.map_or_else(|| NO_STACK.to_owned(), frame)
        }
    }
}

/// A frame in one line.
fn frame(frame: &Frame) -> String {
    match frame {
        Frame::Python { function, file, line } => {
            let line = line.map(|line| format!(":{line}")).unwrap_or_default();
            format!("{}{line} {}", short_path(file), short_function(function))
        }
        Frame::Native { function, module, offset, .. } => {
            let file = module.as_deref().map_or("generated code", file_name);
            match function {
                Some(function) => format!("{function} ({file})"),
                None if module.is_some() => format!("{file}+{offset:#x}"),
                None => file.to_owned(),
            }
        }
    }
}

/// What one line of code and its callers have live: sites that read the same are one here.
struct Line {
    name: String,
    callers: Vec<String>,
    live_bytes: u64,
    blocks: u64,
}

/// The lines of code with most live bytes, each with its callers.
pub(super) fn list(page: &mut Page, report: &Report, indent: usize, sites: &[SiteUse]) {
    let lines = lines(report, sites);
    let whole = total(lines.iter().map(|line| line.live_bytes));
    let least = LEAST.max(whole / SHARE);
    let large = lines.iter().take_while(|line| line.live_bytes >= least).count();
    let (top, rest) = lines.split_at(large.min(TOP_SITES));
    for line in top {
        let amount = bytes(line.live_bytes);
        let blocks = count(line.blocks, "block");
        page.line(indent, &format!("{amount:>10} {blocks:>10}  {}", line.name));
        for caller in &line.callers {
            page.line(indent + 18, &format!("from {caller}"));
        }
    }
    if !rest.is_empty() {
        let amount = bytes(total(rest.iter().map(|line| line.live_bytes)));
        let blocks = count(total(rest.iter().map(|line| line.blocks)), "block");
        let noun = if top.is_empty() { "line" } else { "other line" };
        let others = count(rest.len() as u64, noun);
        page.line(indent, &format!("{amount:>10} {blocks:>10}  at {others}"));
    }
}

fn lines(report: &Report, sites: &[SiteUse]) -> Vec<Line> {
    let mut by_text: HashMap<(String, Vec<String>), (u64, u64)> = HashMap::new();
    for site in sites {
        let text = (name(report, &site.site), callers(report, &site.site));
        let (bytes, blocks) = by_text.entry(text).or_default();
        *bytes = bytes.saturating_add(site.live_bytes);
        *blocks = blocks.saturating_add(site.blocks);
    }
    let line = |((name, callers), (live_bytes, blocks))| Line { name, callers, live_bytes, blocks };
    let mut lines: Vec<Line> = by_text.into_iter().map(line).collect();
    lines.sort_by(|a, b| b.live_bytes.cmp(&a.live_bytes).then_with(|| a.name.cmp(&b.name)));
    lines
}

/// What called the line a site is known by: the next frames outward that are the user's; without
/// any Python frame the next native ones.
fn callers(report: &Report, id: &str) -> Vec<String> {
    let Some(site) = report.sites.get(id) else { return Vec::new() };
    let users = |f: &&Frame| matches!(f, Frame::Python { file, .. } if is_users(file));
    let python = site.line.is_some();
    site.frames.iter().filter(|f| !python || users(f)).skip(1).take(CALLERS).map(frame).collect()
}
