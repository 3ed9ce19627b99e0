//! Who asked for memory, as a list of lines of code: what a person reads instead of call stacks.
//!
//! Stacks that read the same are one line. So are the small ones that have the innermost line in
//! common, however it was reached: a model's weights are made by one line from a hundred places,
//! and together they may be much.

use std::{
    cmp::Reverse,
    collections::{HashMap, hash_map::Entry},
};

use super::{
    amount::{bytes, count},
    page::{Page, WIDTH},
    site,
};
use crate::present::{
    report::{Frame, GraphPoolSite, Report, SiteUse},
    total,
};

/// Lines shown of one list, and how many of them whatever their size; the rest is one line.
const MOST: usize = 10;
const ALWAYS: usize = 5;
/// What a later one must have: bytes.
const LEAST: u64 = 1 << 20;
/// What a stack must have of the whole to be a line by itself, one part in so many.
const SHARE: u64 = 100;
/// Callers shown below such a line, and below a smaller one.
const CALLERS: usize = 3;
const CALLERS_OF_SMALL: usize = 1;

/// Columns before what stands below a line.
const BELOW: usize = 18;

/// What one site has.
pub(super) struct Item<'a> {
    site: &'a str,
    bytes: u64,
    pieces: u64,
    /// Bytes of it in graph pools.
    in_pools: u64,
    /// Bytes of it with no memory behind them.
    unbacked: u64,
}

impl<'a> Item<'a> {
    /// Of which no more is known.
    pub(super) fn plain(site: &'a str, bytes: u64, pieces: u64) -> Self {
        Self { site, bytes, pieces, in_pools: 0, unbacked: 0 }
    }
}

impl<'a> From<&'a SiteUse> for Item<'a> {
    fn from(used: &'a SiteUse) -> Self {
        Self {
            site: &used.site,
            bytes: used.live_bytes,
            pieces: used.blocks,
            in_pools: used.graph_pool_bytes.unwrap_or(0),
            unbacked: used.unbacked_bytes.unwrap_or(0),
        }
    }
}

impl<'a> From<&'a GraphPoolSite> for Item<'a> {
    fn from(took: &'a GraphPoolSite) -> Self {
        let (bytes, pieces) = (took.bytes, took.extents);
        Self { site: &took.site, bytes, pieces, in_pools: 0, unbacked: 0 }
    }
}

/// A line of code with those who called it.
struct Line<'a> {
    name: String,
    /// Innermost first: all of one stack, or what several have in common.
    callers: Vec<&'a Frame>,
    /// Call stacks that are told apart by their callers.
    ways: u64,
    bytes: u64,
    pieces: u64,
    in_pools: u64,
    unbacked: u64,
}

impl<'a> Line<'a> {
    fn of(report: &'a Report, item: &Item<'_>) -> Self {
        Self {
            name: site::name(report, item.site),
            callers: site::callers(report, item.site).collect(),
            ways: 1,
            bytes: item.bytes,
            pieces: item.pieces,
            in_pools: item.in_pools,
            unbacked: item.unbacked,
        }
    }

    fn join(&mut self, other: Self) {
        let from_outside = |line: &Self| line.callers.clone().into_iter().rev();
        let same = from_outside(self).zip(from_outside(&other)).take_while(|(a, b)| a == b).count();
        self.callers.drain(..self.callers.len() - same);
        self.ways += other.ways;
        self.add(&other);
    }

    fn add(&mut self, other: &Self) {
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.pieces = self.pieces.saturating_add(other.pieces);
        self.in_pools = self.in_pools.saturating_add(other.in_pools);
        self.unbacked = self.unbacked.saturating_add(other.unbacked);
    }

    /// What two stacks must share to read the same.
    fn shown(&self) -> (String, Vec<String>) {
        let callers = self.callers.iter().take(CALLERS);
        (self.name.clone(), callers.map(|frame| site::frame(frame)).collect())
    }
}

/// The lines that took most, each with its callers; `noun` is what they took.
pub(super) fn list<'a>(
    page: &mut Page,
    report: &Report,
    indent: usize,
    noun: &str,
    items: impl Iterator<Item = Item<'a>>,
) {
    let items: Vec<Item<'_>> = items.collect();
    let lines = lines(report, &items);
    let large = total(lines.iter().map(|line| line.bytes)) / SHARE;
    let is_shown = |(i, line): &(usize, &Line<'_>)| *i < ALWAYS || line.bytes >= LEAST;
    let shown = lines.iter().take(MOST).enumerate().take_while(is_shown).count();
    let (top, rest) = lines.split_at(shown);
    for line in top {
        let pieces = count(line.pieces, noun);
        let amount = format!("{:>10} {pieces:>10}  ", bytes(line.bytes));
        let width = WIDTH.saturating_sub(indent + amount.chars().count());
        page.line(indent, &format!("{amount}{}", site::fit(&line.name, width)));
        for note in below(line, large, WIDTH.saturating_sub(indent + BELOW)) {
            page.line(indent + BELOW, &note);
        }
    }
    if !rest.is_empty() {
        let amount = bytes(total(rest.iter().map(|line| line.bytes)));
        let pieces = count(total(rest.iter().map(|line| line.pieces)), noun);
        let others = count(rest.len() as u64, "other line");
        page.line(indent, &format!("{amount:>10} {pieces:>10}  at {others}"));
    }
}

/// What stands below a line, in that many columns: its callers, whether it lies in graph pools, and
/// whether there is memory behind it.
fn below(line: &Line<'_>, large: u64, width: usize) -> Vec<String> {
    let shown = if line.bytes >= large { CALLERS } else { CALLERS_OF_SMALL };
    let mut callers = line.callers.iter().take(shown).map(|caller| site::frame(caller));
    let mut notes = Vec::new();
    if line.ways > 1 {
        let ways = format!("in {} ways from ", line.ways);
        let from =
            callers.next().map(|caller| site::fit(&caller, width.saturating_sub(ways.len())));
        notes.push(format!("{ways}{}", from.as_deref().unwrap_or("everywhere")));
    }
    notes.extend(
        callers.map(|caller| format!("from {}", site::fit(&caller, width.saturating_sub(5)))),
    );
    for (part, what) in
        [(line.in_pools, "in graph pools"), (line.unbacked, "unbacked: no memory behind it now")]
    {
        match part {
            0 => {}
            all if all == line.bytes => notes.push(what.to_owned()),
            some => notes.push(format!("{} of it {what}", bytes(some))),
        }
    }
    notes
}

fn lines<'a>(report: &'a Report, items: &[Item<'_>]) -> Vec<Line<'a>> {
    let items = items.iter().map(|item| Line::of(report, item));
    let whole = total(items.clone().map(|line| line.bytes));
    let by_stack = merged(items, Line::shown, |line, other| line.add(&other));
    let (mut lines, small): (Vec<_>, Vec<_>) =
        by_stack.into_iter().partition(|line| line.bytes >= (whole / SHARE).max(1));
    lines.extend(merged(small.into_iter(), |line| line.name.clone(), Line::join));
    // By all that is shown, so that the same report always reads the same.
    lines.sort_by_cached_key(|line| (Reverse(line.bytes), line.shown()));
    lines
}

/// The lines with those of the same key made one.
fn merged<'a, K: Eq + std::hash::Hash>(
    lines: impl Iterator<Item = Line<'a>>,
    key: impl Fn(&Line<'a>) -> K,
    merge: impl Fn(&mut Line<'a>, Line<'a>),
) -> Vec<Line<'a>> {
    let mut by_key: HashMap<K, Line<'a>> = HashMap::new();
    for line in lines {
        match by_key.entry(key(&line)) {
            Entry::Occupied(mut same) => merge(same.get_mut(), line),
            Entry::Vacant(place) => drop(place.insert(line)),
        }
    }
    by_key.into_values().collect()
}
