//! IPC pin: memory that a process handed to others and that cannot go, because they have it open.
//!
//! A set of buffers that is shared for good is opened once and stays as large as it is. What is wrong is
//! memory that its owner has given back, which the driver keeps until the last importer closes it, and
//! a set that gets one more buffer with each step.
//!
//! ```text
//! handed out at step   1   2   3   4   5   6   …          open at the importer:
//! a set for good       ███████                            7, for ever
//! a pin                ▇   ▇   ▇   ▇   ▇   ▇   …          one more each step
//! ```

use super::{
    stretch::{Stretch, Survivor},
    thresholds::{BOUNDARIES, BY_TIME, MEASURED_STEPS, SURVIVORS},
};

/// How long what was given back may be open without a word, ns: an importer closes what it was told of,
/// and may be busy when it is told.
pub const DEFAULT_GRACE: u64 = 30_000_000_000;
/// Given back and open, less than this is no matter, bytes.
pub const DEFAULT_FLOOR: u64 = 16 << 20;
/// Steps from the first buffer to the last from which on it is certain: a queue of buffers between two
/// processes is full before.
pub const DEFAULT_CERTAIN_STEPS: u64 = 20;

/// Why memory is pinned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// Its owner gave it back.
    GivenBack,
    /// Its owner hands out ever more of it.
    Growing,
}

/// Memory that was handed out and that others have open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Bytes.
    pub bytes: u64,
    /// When it was handed out first, ns.
    pub since: u64,
    /// When its owner gave it back, ns.
    pub given_back: Option<u64>,
    /// Until when somebody is known to have had it open, where all who had have ended: ns.
    pub until: u64,
}

/// What is pinned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Why.
    pub cause: Cause,
    /// Whether it is certain.
    pub sure: bool,
    /// Pieces.
    pub pieces: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Begin of the first, ns.
    pub since: u64,
    /// Steps since then, where there are steps.
    pub steps: Option<u64>,
    /// Bytes more in a step, and in an hour, where it grows.
    pub rate: Option<(Option<u64>, u64)>,
}

/// What the detector says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing is pinned that should not be.
    Fine,
    /// Something is.
    Pinned(Finding),
}

/// Whether the `pieces` of one site are pinned, `now`; `steps` are the begins of the owner's steps,
/// oldest first. All times are in ns of one clock.
#[must_use]
pub fn check(pieces: &[Piece], steps: &[u64], now: u64) -> Verdict {
    given_back(pieces, steps, now)
        .or_else(|| growing(pieces, steps, now))
        .map_or(Verdict::Fine, Verdict::Pinned)
}

fn given_back(pieces: &[Piece], steps: &[u64], now: u64) -> Option<Finding> {
    let is_old = |piece: &&Piece| {
        let then = now.min(piece.until);
        piece.given_back.is_some_and(|ended| then.saturating_sub(ended) >= DEFAULT_GRACE)
    };
    let old: Vec<&Piece> = pieces.iter().filter(is_old).collect();
    let found = about(Cause::GivenBack, &old, steps)?;
    (found.bytes >= DEFAULT_FLOOR).then_some(Finding { sure: true, ..found })
}

fn growing(pieces: &[Piece], steps: &[u64], now: u64) -> Option<Finding> {
    // Steps count where most of it happened in some.
    let first = pieces.iter().map(|piece| piece.since).min()?;
    let in_steps = steps.len() > MEASURED_STEPS + BOUNDARIES && steps[steps.len() / 2] >= first;
    let (until, least) = if in_steps {
        ((steps.len() - 1 - BOUNDARIES) as u64, MEASURED_STEPS as u64)
    } else {
        (now.saturating_sub(BY_TIME.maturity), BY_TIME.suspect)
    };
    let at = |piece: &Piece| if in_steps { position(steps, piece.since) } else { piece.since };
    let mut survivors: Vec<Survivor> =
        pieces.iter().map(|piece| Survivor { born: at(piece), bytes: piece.bytes }).collect();
    survivors.sort_unstable();
    let stretch = Stretch::newest(survivors, until)?;
    if stretch.blocks() < SURVIVORS || stretch.span() < least || !stretch.lasts() {
        return None;
    }
    let (newest, span) = (stretch.first(), stretch.span());
    let grown: Vec<&Piece> = pieces.iter().filter(|piece| at(piece) >= newest).collect();
    let found = about(Cause::Growing, &grown, steps)?;
    let (per_unit, _) = stretch.rate(1);
    let time = grown.iter().map(|piece| piece.since).max()? - found.since;
    let hour = u128::from(60 * BY_TIME.unit);
    let more = found.bytes - grown.first().map_or(0, |piece| piece.bytes);
    let per_hour = u128::from(more) * hour / u128::from(time.max(1));
    let per_step = in_steps.then_some(per_unit as u64);
    Some(Finding {
        sure: if in_steps { span >= DEFAULT_CERTAIN_STEPS } else { span >= BY_TIME.alert },
        rate: Some((per_step, u64::try_from(per_hour).unwrap_or(u64::MAX))),
        ..found
    })
}

/// The step that a moment lies in; the first also for what came before.
fn position(steps: &[u64], time: u64) -> u64 {
    steps.partition_point(|begin| *begin <= time).saturating_sub(1) as u64
}

fn about(cause: Cause, pieces: &[&Piece], steps: &[u64]) -> Option<Finding> {
    let since = pieces.iter().map(|piece| piece.since).min()?;
    let passed = (steps.len() as u64).saturating_sub(1).saturating_sub(position(steps, since));
    Some(Finding {
        cause,
        sure: false,
        pieces: pieces.len() as u64,
        bytes: pieces.iter().fold(0, |sum, piece| sum.saturating_add(piece.bytes)),
        since,
        steps: (!steps.is_empty()).then_some(passed),
        rate: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const MIB: u64 = 1 << 20;

    fn begins(steps: u64) -> Vec<u64> {
        (1..=steps).map(|step| step * SECOND).collect()
    }

    fn at(second: u64) -> Piece {
        let since = second * SECOND + SECOND / 2;
        Piece { bytes: 32 * MIB, since, given_back: None, until: u64::MAX }
    }

    fn found(pieces: &[Piece], steps: u64) -> Option<Finding> {
        match check(pieces, &begins(steps), (steps + 1) * SECOND) {
            Verdict::Fine => None,
            Verdict::Pinned(found) => Some(found),
        }
    }

    #[test]
    fn one_more_buffer_a_step_is_a_pin_with_its_rate() {
        let pieces: Vec<Piece> = (1..=24).map(at).collect();
        let found = found(&pieces, 24).unwrap();
        assert_eq!((found.cause, found.sure), (Cause::Growing, true));
        assert_eq!((found.pieces, found.bytes), (24, 24 * 32 * MIB));
        assert_eq!((found.since, found.steps), (pieces[0].since, Some(23)));
        assert_eq!(found.rate, Some((Some(32 * MIB), 32 * MIB * 3600)));
    }

    #[test]
    fn it_takes_steps_enough_to_tell() {
        let of = |steps: u64| found(&(1..=steps).map(at).collect::<Vec<_>>(), steps);
        assert_eq!(of(13), None);
        assert!(of(16).is_some_and(|found| !found.sure));
    }

    #[test]
    fn a_set_that_is_shared_for_good_or_comes_in_one_go_is_fine() {
        let at_first: Vec<Piece> = (1..=8).map(at).collect();
        assert_eq!(found(&at_first, 60), None);
        let late = vec![at(40); 50];
        assert_eq!(found(&late, 60), None);
        assert_eq!(found(&[], 60), None);
    }

    #[test]
    fn a_queue_that_has_filled_is_fine() {
        let filled: Vec<Piece> = (1..=45).map(at).collect();
        assert_eq!(found(&filled, 60), None);
        assert!(found(&filled, 46).is_some());
    }

    #[test]
    fn what_was_given_back_and_stays_open_is_pinned_once_the_importer_had_time_to_close_it() {
        let gone = |ended: u64| Piece { given_back: Some(ended * SECOND), ..at(1) };
        assert_eq!(found(&[gone(50)], 60), None);
        let pinned = found(&[gone(20), at(1)], 60).unwrap();
        assert_eq!((pinned.cause, pinned.pieces, pinned.sure), (Cause::GivenBack, 1, true));
        let small = Piece { bytes: MIB, ..gone(20) };
        assert_eq!(found(&[small], 60), None);
        // Whoever had it open ended soon after, however long ago that is.
        let over = |until: u64| Piece { until: until * SECOND, ..gone(20) };
        assert_eq!(found(&[over(49)], 3600), None);
        assert!(found(&[over(50)], 3600).is_some());
    }

    #[test]
    fn without_steps_it_takes_half_an_hour() {
        let minutes = |count: u64| -> Vec<Piece> { (0..count).map(|m| at(60 * m)).collect() };
        let of = |count: u64| check(&minutes(count), &[], count * 60 * SECOND);
        assert_eq!(of(30), Verdict::Fine);
        let Verdict::Pinned(found) = of(40) else { panic!("a pin") };
        assert_eq!((found.sure, found.steps), (false, None));
        assert_eq!(found.rate, Some((None, 32 * MIB * 60)));
    }
}
