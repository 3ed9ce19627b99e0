//! Incomplete release: a sleep in which a process went on holding what it was to give back.
//!
//! What counts is physical memory. Addresses without memory behind them cost nothing, and a sleep that
//! keeps them does well: its graphs stay valid. What a process may keep on purpose is its own matter
//! (weights, when only a cache was to go), so much memory alone is no problem; it is one that nothing
//! went, or that most of what stayed is in no block.

use crate::phase::{Sleep, Slept};

const MIB: u64 = 1 << 20;

/// Least bytes held: contexts, workspaces and what a process needs to wake up are below it.
pub const DEFAULT_HELD: u64 = 1024 * MIB;
/// Least bytes held as a share of the device, one in so many.
pub const DEFAULT_HELD_SHARE: u64 = 20;
/// A sleep released nothing if it released less than one in so many of what was held before: nobody
/// sleeps for so little.
pub const DEFAULT_RELEASED_SHARE: u64 = 10;
/// What a sleep kept is told if it is at least one in so many of what was held before: more than half
/// has gone otherwise, which is what a sleep is for.
pub const DEFAULT_KEPT_SHARE: u64 = 2;
/// A sleep under way is judged after so many ns: before, the call that releases may not have returned.
pub const DEFAULT_UNDER_WAY: u64 = 10_000_000_000;

/// Why it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// Most of what stayed is free memory of PyTorch's allocator.
    Cache,
    /// It released nothing.
    Nothing,
    /// An earlier sleep of the name held much less.
    More,
    /// It kept half of it or more.
    Kept,
}

/// How sure that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sure {
    /// It is to be mended.
    Yes,
    /// It may be meant so.
    Perhaps,
    /// It is to be known.
    Told,
}

/// A sleep that held much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Why it is told.
    pub cause: Cause,
    /// How sure that is.
    pub sure: Sure,
    /// What the held bytes had to reach.
    pub limit: u64,
}

/// What the detector says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It gave back what it was to give back, as far as that can be told.
    Fine,
    /// It did not.
    Held(Finding),
    /// It has only begun.
    NotEnough,
}

/// Judges the last sleep of a name on a device with `total` bytes; `now` is `CLOCK_MONOTONIC`, ns.
#[must_use]
pub fn check(slept: &Slept, total: u64, now: u64) -> Verdict {
    if slept.open && now.saturating_sub(slept.began) < DEFAULT_UNDER_WAY {
        return Verdict::NotEnough;
    }
    let held = slept.held.reserved;
    let limit = DEFAULT_HELD.max(total / DEFAULT_HELD_SHARE);
    if held < limit {
        return Verdict::Fine;
    }
    let Some(cause) = cause(slept, limit) else { return Verdict::Fine };
    // What a part is, and when a marked sleep began, nobody knows.
    let certain = slept.sleep == Sleep::Whole && !slept.marked;
    let sure = match cause {
        Cause::Cache | Cause::Nothing if certain => Sure::Yes,
        Cause::Cache | Cause::Nothing | Cause::More => Sure::Perhaps,
        Cause::Kept => Sure::Told,
    };
    Verdict::Held(Finding { cause, sure, limit })
}

fn cause(slept: &Slept, limit: u64) -> Option<Cause> {
    let held = slept.held.reserved;
    let released = slept.before.saturating_sub(held);
    let cache = slept.held.by.as_ref().map_or(0, |by| by.free.releasable);
    let earlier = slept.least_before.unwrap_or(u64::MAX);
    if cache >= limit && cache >= held / 2 {
        Some(Cause::Cache)
    } else if released < slept.before / DEFAULT_RELEASED_SHARE {
        Some(Cause::Nothing)
    } else if held >= earlier.saturating_add(limit) {
        Some(Cause::More)
    } else if held >= slept.before / DEFAULT_KEPT_SHARE {
        Some(Cause::Kept)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        phase::{Held, HeldBy},
        state::Free,
    };

    const GIB: u64 = 1 << 30;

    /// A sleep that held `held` of `before` GiB, so many of it releasable.
    fn slept(before: u64, held: u64, cache: u64) -> Slept {
        let free = Free { releasable: cache * GIB, ..Free::default() };
        let by = Some(HeldBy { free, ..HeldBy::default() });
        Slept {
            name: 1,
            sleep: Sleep::Whole,
            device: 0,
            times: 1,
            least_before: None,
            began: 100,
            open: false,
            marked: false,
            before: before * GIB,
            extents_before: None,
            held: Held { reserved: held * GIB, extents: 0, by },
        }
    }

    fn said(slept: &Slept) -> Option<(Cause, Sure)> {
        match check(slept, 16 * GIB, 100) {
            Verdict::Held(Finding { cause, sure, limit: GIB }) => Some((cause, sure)),
            Verdict::Held(finding) => panic!("{finding:?}"),
            Verdict::Fine | Verdict::NotEnough => None,
        }
    }

    #[test]
    fn nothing_released_and_a_cache_left_are_to_be_mended() {
        assert_eq!(said(&slept(40, 40, 0)), Some((Cause::Nothing, Sure::Yes)));
        assert_eq!(said(&slept(40, 37, 0)), Some((Cause::Nothing, Sure::Yes)));
        assert_eq!(said(&slept(40, 40, 20)), Some((Cause::Cache, Sure::Yes)));
        assert_eq!(said(&slept(40, 6, 3)), Some((Cause::Cache, Sure::Yes)));
        assert_eq!(said(&slept(40, 6, 2)), None);
    }

    #[test]
    fn what_may_be_meant_so_is_no_problem() {
        let part = Slept { sleep: Sleep::Part, ..slept(40, 40, 0) };
        assert_eq!(said(&part), Some((Cause::Nothing, Sure::Perhaps)));
        let marked = Slept { marked: true, ..slept(40, 40, 0) };
        assert_eq!(said(&marked), Some((Cause::Nothing, Sure::Perhaps)));
        assert_eq!(said(&slept(40, 36, 0)), Some((Cause::Kept, Sure::Told)));
        assert_eq!(said(&slept(40, 20, 0)), Some((Cause::Kept, Sure::Told)));
        assert_eq!(said(&slept(40, 19, 0)), None, "weights beside a cache that is gone");
    }

    #[test]
    fn a_sleep_that_holds_more_than_an_earlier_one_is_suspect() {
        let after = |least| Slept { least_before: Some(least * GIB), ..slept(40, 16, 0) };
        assert_eq!(said(&after(15)), Some((Cause::More, Sure::Perhaps)));
        assert_eq!(said(&after(16)), None);
    }

    #[test]
    fn little_is_fine_and_a_sleep_that_has_only_begun_is_not_judged() {
        assert_eq!(said(&slept(1, 1, 0)), Some((Cause::Nothing, Sure::Yes)));
        assert_eq!(said(&slept(0, 0, 0)), None);
        assert_eq!(check(&slept(1, 1, 0), 21 * GIB, 100), Verdict::Fine, "of a larger card");
        let open = Slept { open: true, ..slept(40, 40, 0) };
        let at = |ns| check(&open, 16 * GIB, 100 + ns);
        assert_eq!(at(DEFAULT_UNDER_WAY - 1), Verdict::NotEnough);
        assert!(matches!(at(DEFAULT_UNDER_WAY), Verdict::Held(_)));
    }
}
