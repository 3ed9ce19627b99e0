//! Marks from outside: the lines of the file `marks` in the folder of rings, or in a job's subfolder.
//!
//! ```text
//! <CLOCK_MONOTONIC, ns> <instance, 32 hex digits> mark|begin|end <name>
//! ```
//!
//! `memtrace mark` appends them beside the ring of the process that they are about, which neither
//! reads nor writes them. One write appends a line whole; a line cut short by a full file system is
//! none, and the next one begins on a line of its own.

use crate::mark::{Kind, NAME_BYTES};

/// Name of the file.
pub const FILE: &str = "marks";
/// Name of the file while it is made anew, without its oldest lines.
pub const DRAFT: &str = "marks.new";
/// Bytes of a line at most, with its end.
pub const LINE_BYTES: usize = 20 + 1 + 32 + 1 + 5 + 1 + NAME_BYTES + 1;

/// A mark from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// `CLOCK_MONOTONIC`, ns.
    pub time: u64,
    /// The process image it is about.
    pub instance: [u64; 2],
    /// [`Kind::Point`], [`Kind::Begin`] or [`Kind::End`].
    pub kind: Kind,
    /// Its name: not empty, and at most [`NAME_BYTES`] of it are kept.
    pub name: &'a str,
}

impl core::fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { time, instance: [a, b], kind, name } = self;
        let kind = match kind {
            Kind::Begin => "begin",
            Kind::End => "end",
            _ => "mark",
        };
        writeln!(f, "{time} {a:016x}{b:016x} {kind} {name}")
    }
}

impl<'a> Line<'a> {
    /// Reads a line, without its end; `None` if it is not one.
    #[must_use]
    pub fn parse(line: &'a str) -> Option<Self> {
        let (time, rest) = line.split_once(' ')?;
        let (instance, rest) = rest.split_once(' ')?;
        let (kind, name) = rest.split_once(' ')?;
        let (a, b) = Some(instance).filter(|hex| hex.len() == 32)?.split_at_checked(16)?;
        let kind = match kind {
            "mark" => Kind::Point,
            "begin" => Kind::Begin,
            "end" => Kind::End,
            _ => return None,
        };
        Some(Self {
            time: time.parse().ok()?,
            instance: [u64::from_str_radix(a, 16).ok()?, u64::from_str_radix(b, 16).ok()?],
            kind,
            name: Some(name).filter(|name| !name.is_empty())?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::{String, ToString};

    #[test]
    fn a_line_comes_back_and_is_no_longer_than_is_said() {
        for kind in [Kind::Point, Kind::Begin, Kind::End] {
            let name: String = "n".repeat(NAME_BYTES);
            let line = Line { time: u64::MAX, instance: [1, u64::MAX], kind, name: &name };
            let text = line.to_string();
            assert!(text.len() <= LINE_BYTES);
            assert_eq!(Line::parse(text.trim_end_matches('\n')), Some(line));
        }
        let spaced = "5 00000000000000010000000000000002 mark a b  c";
        assert_eq!(Line::parse(spaced).map(|line| line.name), Some("a b  c"));
    }

    #[test]
    fn what_is_no_line_is_none() {
        let good = "5 00000000000000010000000000000002 mark a";
        assert!(Line::parse(good).is_some());
        for bad in [
            "",
            "5",
            &good[1..],
            &good.replace("mark", "Mark"),
            &good.replace("0002", "002"),
            &good.replace("0002", "000g"),
            &good.replace('5', "-5"),
            good.trim_end_matches('a'),
            good.trim_end_matches(" a"),
        ] {
            assert_eq!(Line::parse(bad), None, "{bad}");
        }
    }
}
