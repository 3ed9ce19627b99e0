//! A comparison for a person: how much there is on both sides, then what of it differs.

use std::collections::BTreeMap;

use super::{
    amount::{bytes, count, known, moment},
    page::{Page, WIDTH},
    site,
};
use crate::present::{
    diff::{Diff, Held, PhaseChange, PhaseFigures, SiteChange, Survivors},
    report::Site,
    total,
};

/// Lines shown of one list, and how many of them whatever their size; the rest is one line.
const MOST: usize = 15;
const ALWAYS: usize = 5;
/// What a later one must have changed by: bytes.
const LEAST: u64 = 1 << 20;
/// Callers shown below a line.
const CALLERS: usize = 2;
/// Columns before what stands below a line.
const BELOW: usize = 32;

/// The whole comparison, in lines of at most [`WIDTH`] columns.
#[must_use]
pub fn render(diff: &Diff) -> String {
    let mut page = Page::default();
    for (label, side) in [("A: ", &diff.a), ("B: ", &diff.b)] {
        page.paragraph(
            0,
            label,
            &format!("{}, {}, {}", side.name, side.moment, moment(side.as_of_ns)),
        );
    }
    page.gap();
    roles(&mut page, diff);
    owners(&mut page, diff);
    page.gap();
    sites(&mut page, diff);
    if let Some(survivors) = &diff.survivors {
        page.gap();
        survived(&mut page, survivors);
    }
    phases(&mut page, diff);
    if !diff.notes.is_empty() {
        page.gap();
    }
    for note in &diff.notes {
        page.paragraph(0, "Note: ", note);
    }
    page.finish()
}

/// A change of bytes.
fn signed(before: u64, after: u64) -> String {
    match after.abs_diff(before) {
        0 => bytes(0),
        by if after > before => format!("+{}", bytes(by)),
        by => format!("-{}", bytes(by)),
    }
}

/// Amounts of both sides and the change; a side that does not know has a dash.
fn cells(before: Option<u64>, after: Option<u64>) -> [String; 3] {
    let change = before.zip(after).map(|(before, after)| signed(before, after));
    [known(before), known(after), change.unwrap_or_else(|| known(None))]
}

fn row(page: &mut Page, name: &str, first: [String; 3], second: [String; 3]) {
    page.row(2, name, first.iter().chain(&second).map(String::as_str));
}

fn heading(page: &mut Page, what: &str, first: &str, second: &str) {
    page.row(0, what, ["", first, "", "", second]);
    page.row(0, "", ["A", "B", "change", "A", "B", "change"]);
}

fn roles(page: &mut Page, diff: &Diff) {
    heading(page, "by process", "reserved", "allocated");
    let reserved = |held: &Option<Held>| Some(held.as_ref().map_or(0, |held| held.reserved_bytes));
    let allocated =
        |held: &Option<Held>| held.as_ref().map_or(Some(0), |held| held.allocated_bytes);
    for role in &diff.roles {
        let first = cells(reserved(&role.a), reserved(&role.b));
        let second = cells(allocated(&role.a), allocated(&role.b));
        let many = [&role.a, &role.b].into_iter().flatten().any(|held| held.pids.len() > 1);
        let name = match (&role.a, &role.b) {
            _ if many => several(&role.name, &role.a, &role.b),
            (None, _) => format!("{}, only in B", role.name),
            (_, None) => format!("{}, only in A", role.name),
            _ => role.name.clone(),
        };
        row(page, &name, first, second);
    }
    if diff.roles.len() > 1 {
        let sum = |side: fn(&super::super::diff::RoleChange) -> &Option<Held>,
                   of: fn(&Held) -> Option<u64>| {
            let amounts = diff.roles.iter().filter_map(|role| side(role).as_ref()).filter_map(of);
            Some(total(amounts))
        };
        let reserved = |held: &Held| Some(held.reserved_bytes);
        let allocated = |held: &Held| held.allocated_bytes;
        let first = cells(sum(|role| &role.a, reserved), sum(|role| &role.b, reserved));
        let second = cells(sum(|role| &role.a, allocated), sum(|role| &role.b, allocated));
        row(page, "together", first, second);
    }
}

/// A name that several processes have.
fn several(name: &str, a: &Option<Held>, b: &Option<Held>) -> String {
    let [a, b] = [a, b].map(|held| held.as_ref().map_or(0, |held| held.pids.len()));
    if a == b { format!("{name}, {a} of them") } else { format!("{name}, {a} and {b} of them") }
}

fn owners(page: &mut Page, diff: &Diff) {
    let changed: Vec<_> = diff.owners.iter().filter(|o| o.a_bytes != o.b_bytes).collect();
    if diff.owners.len() < 2 || changed.is_empty() {
        return;
    }
    page.gap();
    page.row(0, "by owner", ["", "reserved"]);
    page.row(0, "", ["A", "B", "change"]);
    for owner in changed {
        let cells = cells(Some(owner.a_bytes), Some(owner.b_bytes));
        page.row(2, &owner.name, cells.iter().map(String::as_str));
    }
}

/// A line of code with its innermost callers: what two stacks must share to read the same.
fn shown(site: &Site) -> (String, Vec<String>) {
    let callers = site::callers_of(site).take(CALLERS).map(site::frame);
    (site::line(site), callers.collect())
}

/// Changes of stacks that read the same, together.
#[derive(Clone, Copy, Default)]
struct Sum {
    before: (u64, u64),
    after: (u64, u64),
}

impl Sum {
    fn changed(&self) -> u64 {
        self.before.0.abs_diff(self.after.0)
    }

    fn word(&self) -> &'static str {
        match (self.before, self.after) {
            ((_, 0), _) => "new",
            (_, (_, 0)) => "gone",
            (before, after) if after > before => "grown",
            _ => "shrunk",
        }
    }
}

fn sites(page: &mut Page, diff: &Diff) {
    if !diff.comparable {
        page.paragraph(
            0,
            "",
            "The two have no line of code in common: they are not runs of the same program, or it \
             was changed all over. Only their sums are compared.",
        );
        return;
    }
    if diff.sites.is_empty() {
        page.line(0, "no line has more or less live, or other blocks");
        return;
    }
    let many = diff.roles.len() > 1;
    let mut sums: BTreeMap<(String, Vec<String>, Vec<String>), Sum> = BTreeMap::new();
    for SiteChange { site, a_bytes, b_bytes, a_blocks, b_blocks, roles, .. } in &diff.sites {
        let (name, callers) = shown(site);
        let roles = if many { roles.clone() } else { Vec::new() };
        let sum = sums.entry((name, callers, roles)).or_default();
        sum.before = (sum.before.0 + a_bytes, sum.before.1 + a_blocks);
        sum.after = (sum.after.0 + b_bytes, sum.after.1 + b_blocks);
    }
    let mut sums: Vec<_> = sums.into_iter().collect();
    sums.sort_by_key(|(_, sum)| std::cmp::Reverse(sum.changed()));
    page.line(0, "live by line, most change first:");
    let is_shown = |(i, sum): &(usize, u64)| *i < ALWAYS || *sum >= LEAST;
    let changed = sums.iter().take(MOST).map(|(_, sum)| sum.changed()).enumerate();
    let (top, rest) = sums.split_at(changed.take_while(is_shown).count());
    for ((name, callers, roles), sum) in top {
        let blocks = sum.after.1.abs_diff(sum.before.1);
        let sign = if sum.after.1 >= sum.before.1 { "+" } else { "-" };
        let blocks = format!("{sign}{}", count(blocks, "block"));
        let by = signed(sum.before.0, sum.after.0);
        let line = format!("{by:>11} {blocks:>11}  {:<6} ", sum.word());
        let width = WIDTH.saturating_sub(line.chars().count());
        page.line(0, &format!("{line}{}", site::fit(name, width)));
        below(page, callers, roles);
        if matches!(sum.word(), "grown" | "shrunk") {
            let from = format!("{} before, {} now", bytes(sum.before.0), bytes(sum.after.0));
            page.line(BELOW, &from);
        }
    }
    if !rest.is_empty() {
        let of = |up: bool| {
            let by = rest.iter().map(|(_, sum)| sum).filter(|s| (s.after.0 > s.before.0) == up);
            bytes(total(by.map(Sum::changed)))
        };
        let others = count(rest.len() as u64, "other line");
        page.line(0, &format!("            and {others}: +{}, -{}", of(true), of(false)));
    }
    if diff.unchanged.sites > 0 {
        let lines = count(diff.unchanged.sites, "stack");
        page.line(0, &format!("            unchanged: {} at {lines}", bytes(diff.unchanged.bytes)));
    }
}

fn below(page: &mut Page, callers: &[String], roles: &[String]) {
    let width = WIDTH.saturating_sub(BELOW);
    for caller in callers {
        page.line(BELOW, &format!("from {}", site::fit(caller, width.saturating_sub(5))));
    }
    match roles {
        [] => {}
        [one] => page.line(BELOW, &format!("in {one}")),
        [one, ..] => page.line(BELOW, &format!("in {one} and {} more", roles.len() - 1)),
    }
}

fn survived(page: &mut Page, survivors: &Survivors) {
    if survivors.sites.is_empty() {
        page.line(0, &format!("nothing taken in {} is live at B", survivors.born));
        return;
    }
    page.line(0, &format!("taken in {} and live at B:", survivors.born));
    let mut sums: BTreeMap<(String, Vec<String>), (u64, u64)> = BTreeMap::new();
    for survivor in &survivors.sites {
        let sum = sums.entry(shown(&survivor.site)).or_default();
        *sum = (sum.0 + survivor.bytes, sum.1 + survivor.blocks);
    }
    let mut sums: Vec<_> = sums.into_iter().collect();
    sums.sort_by_key(|(_, (bytes, _))| std::cmp::Reverse(*bytes));
    let (top, rest) = sums.split_at(sums.len().min(MOST));
    for ((name, callers), (size, blocks)) in top {
        let line = format!("{:>11} {:>11}         ", bytes(*size), count(*blocks, "block"));
        let width = WIDTH.saturating_sub(line.chars().count());
        page.line(0, &format!("{line}{}", site::fit(name, width)));
        below(page, callers, &[]);
    }
    if !rest.is_empty() {
        let size = bytes(total(rest.iter().map(|(_, (bytes, _))| *bytes)));
        page.line(
            0,
            &format!("            and {size} at {}", count(rest.len() as u64, "other line")),
        );
    }
}

fn phases(page: &mut Page, diff: &Diff) {
    let changed: Vec<&PhaseChange> = diff.phases.iter().filter(|phase| differs(phase)).collect();
    if changed.is_empty() {
        return;
    }
    page.gap();
    heading(page, "by phase, until then", "peak", "survived");
    let many = diff.roles.len() > 1;
    for phase in changed.iter().take(MOST) {
        let peak = |figures: Option<PhaseFigures>| {
            figures.map(|one| one.peak_allocated_bytes.unwrap_or(one.peak_reserved_bytes))
        };
        let survived = |figures: Option<PhaseFigures>| figures.and_then(|one| one.survived_bytes);
        let name =
            if many { format!("{}: {}", phase.role, phase.name) } else { phase.name.clone() };
        let (first, second) =
            (cells(peak(phase.a), peak(phase.b)), cells(survived(phase.a), survived(phase.b)));
        row(page, &name, first, second);
    }
    if let Some(more @ 1..) = changed.len().checked_sub(MOST) {
        page.line(
            2,
            &format!("and {} of other names, each changed less", count(more as u64, "phase")),
        );
    }
}

/// Whether a phase's bytes differ, or it is on one side only.
fn differs(phase: &PhaseChange) -> bool {
    let figures = |of: Option<PhaseFigures>| of.map(|of| PhaseFigures { count: 0, ..of });
    figures(phase.a) != figures(phase.b)
}
