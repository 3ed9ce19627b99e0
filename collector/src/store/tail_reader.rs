//! Reading `tail.bin`, slot by slot: it may be larger than memory.

use std::{
    fs::File,
    io::{self, BufReader, ErrorKind, Read},
};

use wire::{
    folder::{Special, special},
    layout::{SLOT_WORDS, WORD},
    record::Record,
    ring::{Read as Judged, judge},
};

use crate::ledger::Instance;

/// What the file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TailItem {
    /// A record of a process.
    Record {
        /// Whose.
        instance: Instance,
        /// Where it stands in the process's timeline.
        position: u64,
        /// What happened.
        record: Record,
    },
    /// Slots of a process that were lost here.
    Lost {
        /// Whose.
        instance: Instance,
        /// How many.
        slots: u64,
    },
}

/// The slots of a trace in the order they were drained.
#[derive(Debug)]
pub struct TailReader {
    from: BufReader<File>,
    source: Option<(Instance, u64)>,
    damaged: u64,
}

impl TailReader {
    /// Reads a `tail.bin` from where the file stands.
    #[must_use]
    pub fn new(tail: File) -> Self {
        Self { from: BufReader::with_capacity(1 << 20, tail), source: None, damaged: 0 }
    }

    /// Slots so far that do not hold what their check says, or belong to nobody.
    #[must_use]
    pub const fn damaged(&self) -> u64 {
        self.damaged
    }

    fn slot(&mut self) -> io::Result<Option<[u64; SLOT_WORDS]>> {
        let mut bytes = [0; SLOT_WORDS * WORD];
        match self.from.read_exact(&mut bytes) {
            // Where the writer was killed in the middle of a slot.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        let (words, _) = bytes.as_chunks::<WORD>();
        Ok(Some(std::array::from_fn(|i| u64::from_le_bytes(words[i]))))
    }

    fn understand(&mut self, words: &[u64; SLOT_WORDS]) -> Option<TailItem> {
        match special(words) {
            Some(Special::Source { instance, salt }) => {
                self.source = Some((Instance(instance), salt));
                return None;
            }
            Some(Special::Gap { lost }) => {
                let (instance, _) = self.source?;
                return Some(TailItem::Lost { instance, slots: lost });
            }
            None => {}
        }
        let Some((instance, salt)) = self.source else {
            self.damaged += 1;
            return None;
        };
        let position = (words[0] >> 1).wrapping_sub(1);
        match judge(words, position, salt) {
            Judged::Record(record) => Some(TailItem::Record { instance, position, record }),
            Judged::Unknown => None,
            Judged::Pending | Judged::Overwritten | Judged::Damaged => {
                self.damaged += 1;
                Some(TailItem::Lost { instance, slots: 1 })
            }
        }
    }
}

impl Iterator for TailReader {
    type Item = io::Result<TailItem>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.slot() {
                Err(error) => return Some(Err(error)),
                Ok(None) => return None,
                Ok(Some(words)) => {
                    if let Some(item) = self.understand(&words) {
                        return Some(Ok(item));
                    }
                }
            }
        }
    }
}
