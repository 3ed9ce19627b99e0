//! Names in the folder of rings and in a trace folder, and the slots that only a trace has.
//!
//! The *folder of rings* lies on tmpfs, private to the user: `$MEMTRACE_DIR`, else
//! `/dev/shm/memtrace-UID`. In it `control` (see [`crate::control`]) and one `<instance>.ring` per
//! process image; `memtrace run` gives its job a subfolder `run-*` of it. A process that cannot
//! record leaves an empty `<instance>-<pid>-<start ticks>-<pid namespace>-<reason>.off` instead: all
//! it says is in the name (numbers in decimal, as in the header's words), because a full file system
//! still takes names when it takes no bytes.
//!
//! A *trace folder* is what `memtrace run` leaves behind. `tail.bin` is the drained slots as they
//! are, of all processes, in the order they were drained. A *source* slot says whose the slots
//! after it are. A slot in a trace keeps its `seq` and `check`, so damage is noticed there too;
//! the file is valid up to its last whole slot.
//!
//! ```text
//! source slot:  word 0 = SOURCE, 1-2 instance, 3 salt, 4-6 0, 7 check(0, SOURCE, words 1-6)
//! gap slot:     word 0 = GAP, 1 slots lost, 2-6 0, 7 check(0, GAP, words 1-6)
//! ```

use crate::{layout::SLOT_WORDS, record::PAYLOAD_WORDS, ring::check};

/// Ending of a process's file in the folder of rings; its stem is the instance in 32 hex digits.
pub const RING_SUFFIX: &str = ".ring";
/// Ending of what a process leaves that could not record.
pub const OFF_SUFFIX: &str = ".off";
/// First part of the name of a job's subfolder.
pub const RUN_PREFIX: &str = "run-";
/// Drained slots.
pub const TAIL: &str = "tail.bin";
/// `word 0` of a source slot; no committed slot is odd.
pub const SOURCE: u64 = u64::MAX;
/// `word 0` of a gap slot.
pub const GAP: u64 = u64::MAX - 2;

/// Who could not record, and why: what the name of an `.off` file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Off {
    /// The instance it would have had.
    pub instance: [u64; 2],
    /// As [`crate::header::PID`].
    pub pid: u64,
    /// As [`crate::header::START_TICKS`].
    pub start_ticks: u64,
    /// As [`crate::header::PID_NAMESPACE`].
    pub pid_namespace: u64,
    /// Number of a [`crate::header::Reason`].
    pub reason: u64,
}

impl core::fmt::Display for Off {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { instance: [a, b], pid, start_ticks, pid_namespace, reason } = self;
        write!(f, "{a:016x}{b:016x}-{pid}-{start_ticks}-{pid_namespace}-{reason}{OFF_SUFFIX}")
    }
}

impl Off {
    /// Reads the name of an `.off` file; `None` if it is not one.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let mut parts = name.strip_suffix(OFF_SUFFIX)?.split('-');
        let (a, b) = parts.next().filter(|hex| hex.len() == 32)?.split_at_checked(16)?;
        let instance = [u64::from_str_radix(a, 16).ok()?, u64::from_str_radix(b, 16).ok()?];
        let mut number = || parts.next()?.parse().ok();
        Some(Self {
            instance,
            pid: number()?,
            start_ticks: number()?,
            pid_namespace: number()?,
            reason: number()?,
        })
    }
}

const fn frame(tag: u64, payload: [u64; PAYLOAD_WORDS], sum: u64) -> [u64; SLOT_WORDS] {
    let [a, b, c, d, e, f] = payload;
    [tag, a, b, c, d, e, f, sum]
}

/// The slot that says that the following slots are `instance`'s, whose checks use `salt`.
#[must_use]
pub fn source_slot(instance: [u64; 2], salt: u64) -> [u64; SLOT_WORDS] {
    let payload = [instance[0], instance[1], salt, 0, 0, 0];
    frame(SOURCE, payload, check(0, SOURCE, &payload))
}

/// The slot that says that `lost` slots of the current source were never read.
#[must_use]
pub fn gap_slot(lost: u64) -> [u64; SLOT_WORDS] {
    let payload = [lost, 0, 0, 0, 0, 0];
    frame(GAP, payload, check(0, GAP, &payload))
}

/// What a slot of `tail.bin` is, apart from a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Special {
    /// The following slots are this process's.
    Source {
        /// The instance.
        instance: [u64; 2],
        /// Salt of the checks.
        salt: u64,
    },
    /// Slots of the current source were lost here.
    Gap {
        /// How many.
        lost: u64,
    },
}

/// Reads a slot that is not a record; `None` if it is one, or if its check does not hold.
#[must_use]
pub fn special(slot: &[u64; SLOT_WORDS]) -> Option<Special> {
    let [tag, payload @ .., sum] = slot;
    if *sum != check(0, *tag, payload) {
        return None;
    }
    let [a, b, c, ..] = *payload;
    match *tag {
        SOURCE => Some(Special::Source { instance: [a, b], salt: c }),
        GAP => Some(Special::Gap { lost: a }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn an_off_file_says_all_in_its_name() {
        let off =
            Off { instance: [1, u64::MAX], pid: 7, start_ticks: 8, pid_namespace: 9, reason: 3 };
        assert_eq!(Off::parse(&off.to_string()), Some(off));
        assert_eq!(Off::parse("00-1-2-3-4.off"), None);
        assert_eq!(Off::parse(&off.to_string().replace("-3.off", ".off")), None);
    }
}
