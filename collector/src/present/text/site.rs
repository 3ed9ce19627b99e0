//! Sites as lines of code.

use super::{
    amount::{bytes, count},
    page::Page,
};
use crate::{
    present::report::{Frame, Report, Site, SiteUse},
    symbol::{
        modules::file_name,
        place::{is_users, short_path},
    },
};

/// Sites shown of one list; the rest is one line.
pub const TOP_SITES: usize = 5;
/// Callers shown below a site.
const CALLERS: usize = 4;

/// A site in one line, for a sentence or a list.
pub(super) fn name(report: &Report, id: &str) -> String {
    match report.sites.get(id) {
        None => "no stack".to_owned(),
        Some(Site { line: Some(line), .. }) => line.clone(),
        Some(site) => site.frames.first().map_or_else(|| "no stack".to_owned(), frame),
    }
}

/// A frame in one line.
fn frame(frame: &Frame) -> String {
    match frame {
        Frame::Python { function, file, line } => {
            let line = line.map(|line| format!(":{line}")).unwrap_or_default();
            format!("{}{line} {function}", short_path(file))
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

/// The sites with most live bytes, each with its callers.
pub(super) fn list(page: &mut Page, report: &Report, indent: usize, sites: &[SiteUse]) {
    for site in sites.iter().take(TOP_SITES) {
        let amount = bytes(site.live_bytes);
        let blocks = count(site.blocks, "block");
        let line = format!("{amount:>11} {blocks:>12}  {}", name(report, &site.site));
        page.line(indent, &line);
        for caller in callers(report, &site.site) {
            page.line(indent + 26, &format!("from {caller}"));
        }
    }
    if let Some(rest) = sites.get(TOP_SITES..).filter(|rest| !rest.is_empty()) {
        let amount = bytes(rest.iter().map(|site| site.live_bytes).sum());
        let blocks = count(rest.iter().map(|site| site.blocks).sum(), "block");
        let sites = count(rest.len() as u64, "more site");
        page.line(indent, &format!("{amount:>11} {blocks:>12}  at {sites}"));
    }
}

/// What called the line a site is known by: the next frames outward that are the user's; without
/// any Python frame the next native ones.
fn callers(report: &Report, id: &str) -> Vec<String> {
    let Some(site) = report.sites.get(id) else { return Vec::new() };
    let users = |f: &&Frame| matches!(f, Frame::Python { file, .. } if is_users(file));
    let python = site.line.is_some();
    site.frames.iter().filter(|f| !python || users(f)).skip(1).take(CALLERS).map(frame).collect()
}
