//! Writing `tail.bin`.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::Path,
};

use wire::{
    folder::{TAIL, gap_slot, source_slot},
    layout::{SLOT_WORDS, WORD},
    record::{Class, Record, Verb},
};

use crate::ledger::Instance;

/// Bytes of a slot.
const SLOT: u64 = (SLOT_WORDS * WORD) as u64;

/// Appends drained slots, up to a limit.
#[derive(Debug)]
pub struct TailWriter {
    file: File,
    length: u64,
    limit: u64,
    source: Option<Instance>,
    batch: Vec<u8>,
    full: bool,
}

impl TailWriter {
    /// Makes `tail.bin` in `folder`. Once it has `limit` bytes, block events are passed over;
    /// events of the driver are rare and go on.
    ///
    /// # Errors
    /// The file could not be made.
    pub fn create(folder: &Path, limit: u64) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create_new(true).open(folder.join(TAIL))?;
        let (source, batch) = (None, Vec::new());
        Ok(Self { file, length: 0, limit, source, batch, full: false })
    }

    /// Whether block events are being passed over.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.full
    }

    /// Says whose the following slots are.
    pub fn source(&mut self, instance: Instance, salt: u64) {
        if self.source != Some(instance) {
            self.source = Some(instance);
            self.push(&source_slot(instance.0, salt));
        }
    }

    /// Adds a slot of the current source.
    pub fn slot(&mut self, words: &[u64; SLOT_WORDS], record: Option<&Record>) {
        self.full |= self.length + self.batch.len() as u64 + SLOT > self.limit;
        if !self.full || record.is_some_and(|record| !is_block_event(record)) {
            self.push(words);
        }
    }

    /// Says that slots of the current source were lost here.
    pub fn gap(&mut self, lost: u64) {
        self.push(&gap_slot(lost));
    }

    /// Writes what was added.
    ///
    /// # Errors
    /// It could not be written, perhaps in the middle of a slot: nothing may be added after that.
    pub fn flush(&mut self) -> io::Result<()> {
        self.file.write_all(&self.batch)?;
        self.length += self.batch.len() as u64;
        self.batch.clear();
        Ok(())
    }

    fn push(&mut self, words: &[u64; SLOT_WORDS]) {
        self.batch.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    }
}

/// What is not stored any more once room is short: the events of which there are many. None of them
/// has a second slot.
fn is_block_event(record: &Record) -> bool {
    matches!(record.class, Class::Block | Class::PoolBlock)
        && matches!(record.verb, Verb::Alloc | Verb::FreeBegin | Verb::FreeFailed)
}
