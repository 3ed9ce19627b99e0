//! Dead holders: memory that a process holds after its time.
//!
//! The driver gives memory back when the last thread of a process has gone. A process whose main thread
//! has ended looks dead, and holds everything while another of its threads hangs in a call; one whose
//! parent was killed lives on, and nobody will ever tell it to end.

/// How long an end may take, ns: giving back a hundred GiB takes the driver seconds, and a server's
/// processes that notice that their parent is gone take as long.
pub const DEFAULT_GRACE: u64 = 5_000_000_000;

/// Why memory is held after its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// The process lives, and its job is over.
    Orphan,
    /// The process has ended, and NVML counts it all the same.
    Ended,
}

/// Memory that is held, and since when it should not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// Why it is held.
    pub cause: Cause,
    /// How much, bytes.
    pub bytes: u64,
    /// By when the job, or the process, was known to have ended, ns; `None` where nobody watched.
    pub ended: Option<u64>,
    /// When it was seen to be held, ns of the same clock.
    pub seen: u64,
}

/// What the detector says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing is held, or it was seen before the end.
    Fine,
    /// It is held, and may be on its way back.
    Perhaps,
    /// It is held.
    Held,
}

/// Whether memory is held after its time.
#[must_use]
pub fn check(left: &Left) -> Verdict {
    match left.ended {
        _ if left.bytes == 0 => Verdict::Fine,
        Some(ended) if left.seen < ended => Verdict::Fine,
        Some(ended) if left.seen - ended >= DEFAULT_GRACE => Verdict::Held,
        // Every process that ends is counted a little longer than it lives.
        Some(_) if left.cause == Cause::Ended => Verdict::Fine,
        Some(_) | None => Verdict::Perhaps,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_long_after_the_end_is_certain_and_before_that_may_be_on_its_way() {
        let of = |cause, seen, ended| check(&Left { cause, bytes: 1, ended, seen });
        let seen = |seen, ended| of(Cause::Orphan, seen, ended);
        let ended = 100 * DEFAULT_GRACE;
        assert_eq!(seen(ended - 1, Some(ended)), Verdict::Fine);
        assert_eq!(seen(ended, Some(ended)), Verdict::Perhaps);
        assert_eq!(seen(ended + DEFAULT_GRACE - 1, Some(ended)), Verdict::Perhaps);
        assert_eq!(seen(ended + DEFAULT_GRACE, Some(ended)), Verdict::Held);
        assert_eq!(seen(ended, None), Verdict::Perhaps);
        assert_eq!(of(Cause::Ended, ended + DEFAULT_GRACE - 1, Some(ended)), Verdict::Fine);
        assert_eq!(of(Cause::Ended, ended + DEFAULT_GRACE, Some(ended)), Verdict::Held);
        assert_eq!(of(Cause::Ended, ended, None), Verdict::Perhaps);
        let nothing = Left { cause: Cause::Orphan, bytes: 0, ended: Some(0), seen: ended };
        assert_eq!(check(&nothing), Verdict::Fine);
    }
}
