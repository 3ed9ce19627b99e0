//! Writing a trace folder.

use std::{
    collections::{HashMap, hash_map::Entry},
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::{
    CodesRow, ModulesRow, NodesRow, NoteRow, TailWriter, Trace, codec,
    rows::{TABLES, Table, store_node},
};
use crate::{
    ledger::{Additions, Instance},
    sys,
};

/// Block events are stored until `tail.bin` has this length, bytes,
const TAIL_MOST: u64 = 4 << 30;
/// or one part in so many of what was free on the disk when it was made.
const TAIL_SHARE: u64 = 10;

/// Appends to a trace folder. After an error nothing may be appended any more: what is cut short
/// ends a file for its readers.
#[derive(Debug)]
pub struct Writer {
    folder: PathBuf,
    head: Trace,
    tail: TailWriter,
    tables: HashMap<&'static str, File>,
    unstored: bool,
}

impl Writer {
    /// Makes the folder, which must be empty or not exist yet.
    ///
    /// # Errors
    /// The folder cannot be made or written to, or something is in it.
    pub fn create(folder: &Path, head: Trace) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        if fs::read_dir(folder)?.next().is_some() {
            let text = "there is something in it already";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
        }
        let limit = TAIL_MOST.min(sys::free_bytes(folder)? / TAIL_SHARE);
        Self::with_limit(folder, head, limit)
    }

    pub(super) fn with_limit(folder: &Path, head: Trace, limit: u64) -> io::Result<Self> {
        let tail = TailWriter::create(folder, limit)?;
        // All of them, and before the head: one that is not there later was lost.
        for file in TABLES {
            File::create_new(folder.join(file))?;
        }
        head.write(folder)?;
        Ok(Self { folder: folder.to_owned(), head, tail, tables: HashMap::new(), unstored: false })
    }

    /// The drained slots.
    pub fn tail(&mut self) -> &mut TailWriter {
        &mut self.tail
    }

    /// Writes the slots that were added to the tail.
    ///
    /// # Errors
    /// They could not be written.
    pub fn commit(&mut self, time: u64) -> io::Result<()> {
        self.tail.flush()?;
        if self.tail.is_full() && !self.unstored {
            self.unstored = true;
            let text = "room for events ran out: block events are not stored from here on";
            self.row(&NoteRow { time, text: text.to_owned(), blocks_unstored: true })?;
        }
        Ok(())
    }

    /// Appends a row to its table.
    ///
    /// # Errors
    /// It could not be written.
    #[expect(private_bounds, reason = "only rows of this module are tables")]
    pub fn row<T: Table + Serialize>(&mut self, row: &T) -> io::Result<()> {
        let file = match self.tables.entry(T::FILE) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let path = self.folder.join(T::FILE);
                entry.insert(OpenOptions::new().append(true).open(path)?)
            }
        };
        codec::write(file, row)
    }

    /// Appends what is new in a process's tables.
    ///
    /// # Errors
    /// It could not be written.
    pub fn additions(&mut self, instance: Instance, new: Additions) -> io::Result<()> {
        if !new.nodes.is_empty() {
            let nodes = new.nodes.iter().map(|(id, node)| (*id, store_node(node))).collect();
            self.row(&NodesRow { instance, nodes })?;
        }
        if !new.codes.is_empty() {
            self.row(&CodesRow { instance, codes: new.codes })?;
        }
        if !new.modules.is_empty() {
            self.row(&ModulesRow { instance, modules: new.modules })?;
        }
        Ok(())
    }

    /// Appends a note.
    ///
    /// # Errors
    /// It could not be written.
    pub fn note(&mut self, time: u64, text: &str) -> io::Result<()> {
        self.row(&NoteRow { time, text: text.to_owned(), blocks_unstored: false })
    }

    /// Ends the trace.
    ///
    /// # Errors
    /// The head could not be written.
    pub fn finish(mut self, time: u64) -> io::Result<()> {
        self.commit(time)?;
        self.head.ended_ns = Some(time);
        self.head.write(&self.folder)
    }
}
