//! Which phases are open, and which of them a mark ends.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use wire::mark::{Kind, Mark};

use super::NameId;

/// A phase that has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Begun {
    pub name: NameId,
    /// `CLOCK_MONOTONIC`, ns.
    pub time: u64,
    /// The stretch that begins with it; none if it is not followed.
    pub stretch: Option<u64>,
}

/// The phases that are open.
#[derive(Clone, Debug, Default)]
pub(super) struct Open {
    /// Begun by name, by thread; innermost last.
    named: HashMap<u32, Vec<Begun>>,
    /// Pushed, by thread and domain; innermost last.
    pushed: HashMap<(u32, u16), Vec<Begun>>,
    ranges: BTreeMap<u64, Begun>,
    stretches: BTreeSet<u64>,
    count: usize,
}

impl Open {
    pub const fn count(&self) -> usize {
        self.count
    }

    /// The stretch of the phase that has been open longest.
    pub fn first_stretch(&self) -> Option<u64> {
        self.stretches.first().copied()
    }

    /// A phase begins. Returns the range that had its number: a number is not given twice, so that
    /// one's end was never seen.
    pub fn begin(
        &mut self,
        mark: &Mark,
        thread: u32,
        time: u64,
        stretch: Option<u64>,
    ) -> Option<Begun> {
        let mut replaced = None;
        let begun = Begun { name: (mark.name, mark.number), time, stretch };
        match mark.kind {
            Kind::Begin => self.named.entry(thread).or_default().push(begun),
            Kind::Push => self.pushed.entry((thread, mark.domain)).or_default().push(begun),
            _ => replaced = self.ranges.insert(mark.range, begun),
        }
        self.stretches.extend(stretch);
        self.count += 1;
        replaced.iter().for_each(|begun| self.left(begun));
        replaced
    }

    /// The phases that a mark ends, innermost first; the last is the one that it means.
    pub fn end(&mut self, mark: &Mark, thread: u32) -> Vec<Begun> {
        let ended = match mark.kind {
            Kind::End => named(self.named.get_mut(&thread), (mark.name, mark.number)),
            Kind::Pop => {
                let stack = self.pushed.get_mut(&(thread, mark.domain));
                stack.and_then(Vec::pop).into_iter().collect()
            }
            _ => self.ranges.remove(&mark.range).into_iter().collect(),
        };
        ended.iter().for_each(|begun| self.left(begun));
        ended
    }

    /// All that are open, none of which is afterwards.
    pub fn take_all(&mut self) -> Vec<Begun> {
        let Self { named, pushed, ranges, .. } = std::mem::take(self);
        let stacks = named.into_values().chain(pushed.into_values()).flatten();
        stacks.chain(ranges.into_values()).collect()
    }

    fn left(&mut self, begun: &Begun) {
        self.count -= 1;
        if let Some(stretch) = begun.stretch {
            self.stretches.remove(&stretch);
        }
    }
}

/// The innermost phase of this name and what was begun inside of it, innermost first.
fn named(stack: Option<&mut Vec<Begun>>, name: NameId) -> Vec<Begun> {
    let Some(stack) = stack else { return Vec::new() };
    let Some(at) = stack.iter().rposition(|begun| begun.name == name) else { return Vec::new() };
    let mut ended = stack.split_off(at);
    ended.reverse();
    ended
}
