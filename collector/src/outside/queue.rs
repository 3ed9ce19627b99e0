//! Marks of one process, waiting for their place in its timeline.

use std::collections::{HashMap, VecDeque};

use wire::mark::{Mark, split};

use super::Line;
use crate::ledger::{Code, Event, Tables};

/// Id of the first name from outside: beyond every index of a table of code objects.
const NAMES: u32 = 1 << 31;
/// The thread that sets them: no thread of the process has so great a number.
const THREAD: u32 = u32::MAX;

/// The marks, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Queue(VecDeque<Event>);

impl Queue {
    /// The marks in `lines`, whose names become names of the process whose `tables` they are.
    #[must_use]
    pub fn new(mut lines: Vec<Line>, tables: &mut Tables) -> Self {
        lines.sort_by_key(|line| line.time);
        let mut ids: HashMap<Vec<u8>, u32> = HashMap::new();
        let mark = |Line { time, kind, name, .. }: Line| {
            let (stem, number) = split(name.as_bytes());
            let next = NAMES + ids.len() as u32;
            let name = *ids.entry(stem.to_owned()).or_insert_with(|| {
                tables.codes.insert(next, code(stem));
                next
            });
            let record = Mark { kind, name, number, domain: 0, range: 0 }.record(time, THREAD);
            Event { position: 0, record, extra: None }
        };
        Self(lines.into_iter().map(mark).collect())
    }

    /// Takes the next one out, if it is not later than `time`, ns of `CLOCK_MONOTONIC`.
    pub fn until(&mut self, time: u64) -> Option<Event> {
        let Self(events) = self;
        events.front().filter(|event| event.record.time <= time)?;
        events.pop_front()
    }
}

/// A name as it stands in a table of code objects.
fn code(name: &[u8]) -> Code {
    let name = String::from_utf8_lossy(name).into_owned();
    Code { name, file: String::new(), lines: Vec::new(), first_line: 0, python: 0 }
}
