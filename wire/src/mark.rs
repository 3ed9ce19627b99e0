//! Marks: named moments and stretches of a process's own time, as they stand in slots of verb Mark.
//!
//! A name is an entry of the table of code objects that has a name and nothing else; its index is
//! the name's id. A number at a name's end is kept apart, in the slot, so that a thousand numbered
//! steps are one name.

use crate::{
    mix,
    record::{Class, NO_STACK, Record, Verb},
};

/// Bytes of a name that are kept.
pub const NAME_BYTES: usize = 120;
/// Id of "this mark has no name": it ends what was begun last.
pub const NO_NAME: u32 = u32::MAX - 1;
/// Id of "its name found no room".
pub const NAME_LOST: u32 = u32::MAX;
/// Of so many code objects that there is room for, one may be a name.
pub const NAME_SHARE: usize = 8;
/// Domains that are told apart; all from the last on are one.
pub const DOMAINS: u16 = 1024;

/// Digits of a number that is kept apart.
const DIGITS: usize = 18;
const NUMBERED: u64 = 1 << 3;
const RANGE_SHIFT: u32 = 8;

/// What a mark says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A moment.
    Point = 0,
    /// A phase begins, and its name will end it.
    Begin = 1,
    /// The phase of this name that the thread began last ends.
    End = 2,
    /// A range begins, and the thread's next [`Kind::Pop`] in its domain will end it.
    Push = 3,
    /// The range that the thread pushed last in this domain ends.
    Pop = 4,
    /// A range begins, and its number will end it, in whatever thread.
    Start = 5,
    /// The range of this number ends.
    Stop = 6,
}

impl Kind {
    /// The kind with this number, `None` if this version knows none.
    #[must_use]
    pub const fn of(number: u32) -> Option<Self> {
        Some(match number {
            0 => Self::Point,
            1 => Self::Begin,
            2 => Self::End,
            3 => Self::Push,
            4 => Self::Pop,
            5 => Self::Start,
            6 => Self::Stop,
            _ => return None,
        })
    }
}

/// What a slot of verb Mark says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// What it says.
    pub kind: Kind,
    /// Index of the code object that has its name, [`NO_NAME`] or [`NAME_LOST`].
    pub name: u32,
    /// The number that the name ends with.
    pub number: Option<u64>,
    /// Which domain, 0 for none.
    pub domain: u16,
    /// For [`Kind::Start`] and [`Kind::Stop`]: which range, in 56 bits.
    pub range: u64,
}

impl Mark {
    /// The slot that says so.
    #[must_use]
    pub const fn record(&self, time: u64, tid: u32) -> Record {
        let numbered = if self.number.is_some() { NUMBERED } else { 0 };
        let number = match self.number {
            Some(number) => number,
            None => 0,
        };
        let last = DOMAINS - 1;
        Record {
            time,
            address: self.name as u64,
            size: number,
            aux: self.kind as u64 | numbered | self.range << RANGE_SHIFT,
            verb: Verb::Mark,
            class: Class::None,
            api: 0,
            device: crate::device::UNKNOWN,
            result: if self.domain < last { self.domain } else { last },
            tid,
            flags: 0,
            native: NO_STACK,
            python: NO_STACK,
        }
    }

    /// What `record` says; `None` if it is no mark, or none of a kind this version knows.
    #[must_use]
    pub const fn of(record: &Record) -> Option<Self> {
        if !matches!(record.verb, Verb::Mark) {
            return None;
        }
        let Some(kind) = Kind::of((record.aux & 7) as u32) else { return None };
        Some(Self {
            kind,
            name: record.address as u32,
            number: if record.aux & NUMBERED != 0 { Some(record.size) } else { None },
            domain: record.result,
            range: record.aux >> RANGE_SHIFT,
        })
    }
}

/// A name without the number at its end, and that number. Both together are the name again: a
/// number does not begin with a zero, unless it is one.
#[must_use]
pub fn split(name: &[u8]) -> (&[u8], Option<u64>) {
    let digits = name.iter().rev().take(DIGITS).take_while(|byte| byte.is_ascii_digit()).count();
    let (stem, tail) =
        name.split_at_checked(name.len().saturating_sub(digits)).unwrap_or((name, &[]));
    let zeros =
        tail.iter().take(tail.len().saturating_sub(1)).take_while(|byte| **byte == b'0').count();
    let (_, number) = tail.split_at_checked(zeros).unwrap_or((tail, &[]));
    if number.is_empty() {
        return (name, None);
    }
    let value = number.iter().fold(0_u64, |value, digit| {
        value.wrapping_mul(10).wrapping_add(u64::from(digit.wrapping_sub(b'0')))
    });
    (name.get(..stem.len().saturating_add(zeros)).unwrap_or(name), Some(value))
}

/// What a name is found by in the table of code objects: address and fingerprint. No code object
/// lies at such an address.
#[must_use]
pub fn key(name: &[u8]) -> (u64, u64) {
    let (chunks, rest) = name.as_chunks::<8>();
    let words = chunks.iter().map(|chunk| u64::from_le_bytes(*chunk));
    let last = crate::arena::pack(rest) ^ (name.len() as u64) << 56;
    let hash = |seed| words.clone().chain([last]).fold(seed, |hash, word| mix(hash ^ word));
    (hash(1) | 1 << 63, hash(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_comes_back_from_its_slot() {
        let (name, number, range) = (7, Some(u64::MAX), (1 << 56) - 1);
        let kinds: std::vec::Vec<Kind> = (0..8).filter_map(Kind::of).collect();
        assert_eq!(kinds.len(), 7);
        for kind in kinds {
            let mark = Mark { kind, name, number, domain: 1023, range };
            assert_eq!(Mark::of(&mark.record(5, 6)), Some(mark));
        }
        let far = Mark { kind: Kind::Pop, name: NO_NAME, number: None, domain: 60_000, range: 0 };
        assert_eq!(Mark::of(&far.record(5, 6)), Some(Mark { domain: 1023, ..far }));
        assert_eq!(Mark::of(&Record { verb: Verb::Alloc, ..far.record(5, 6) }), None);
        assert_eq!(Mark::of(&Record { aux: 7, ..far.record(5, 6) }), None);
    }

    #[test]
    fn stem_and_number_are_the_name_again() {
        for (name, stem, number) in [
            ("step 12", "step ", Some(12)),
            ("step", "step", None),
            ("", "", None),
            ("007", "00", Some(7)),
            ("a00", "a0", Some(0)),
            ("x0", "x", Some(0)),
            ("ProfilerStep#4", "ProfilerStep#", Some(4)),
            ("1234567890123456789", "1", Some(234_567_890_123_456_789)),
        ] {
            assert_eq!(split(name.as_bytes()), (stem.as_bytes(), number), "{name}");
            let again = std::format!(
                "{stem}{}",
                number.map(|n: u64| std::string::ToString::to_string(&n)).unwrap_or_default()
            );
            assert_eq!(again, name);
        }
    }

    #[test]
    fn names_have_keys_of_their_own() {
        let names: [&[u8]; 6] = [b"", b"\0", b"a", b"a\0", b"aaaaaaaa", b"aaaaaaaaa"];
        let keys: std::collections::BTreeSet<_> = names.iter().map(|name| key(name)).collect();
        assert_eq!(keys.len(), names.len());
        assert!(keys.iter().all(|(address, _)| address >> 63 == 1));
    }
}
