//! Reading one side table, and what can be wrong with a file of the folder.

use std::{
    fmt,
    fs::File,
    io::{BufReader, ErrorKind},
    marker::PhantomData,
    path::Path,
};

use serde::de::DeserializeOwned;

use super::{codec, rows::Table};

/// Something lost of a file of a trace folder that no killed writer explains. Displays as a
/// sentence without its full stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// Name of the file.
    pub file: &'static str,
    /// What is wrong with it.
    pub kind: FlawKind,
}

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FlawKind {
    /// It is not there: every file is made together with the folder.
    Missing,
    /// It could not be opened, and why.
    Closed(String),
    /// A table with so many good rows and then something that is none.
    AfterRow(u64),
    /// A tail with so many damaged slots.
    Slots(u64),
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file;
        match &self.kind {
            FlawKind::Missing => write!(f, "{file} is missing"),
            FlawKind::Closed(error) => write!(f, "{file} cannot be read: {error}"),
            FlawKind::AfterRow(0) => write!(f, "{file} is damaged; all of it is lost"),
            FlawKind::AfterRow(rows) => {
                write!(f, "{file} is damaged after row {rows}; what follows is lost")
            }
            FlawKind::Slots(1) => write!(f, "{file} has 1 damaged slot; what it told is lost"),
            FlawKind::Slots(slots) => {
                write!(f, "{file} has {slots} damaged slots; what they told is lost")
            }
        }
    }
}

/// Opens a file of the folder.
pub(super) fn open(folder: &Path, file: &'static str) -> Result<File, Flaw> {
    File::open(folder.join(file)).map_err(|error| {
        let kind = match error.kind() {
            ErrorKind::NotFound => FlawKind::Missing,
            _ => FlawKind::Closed(error.to_string()),
        };
        Flaw { file, kind }
    })
}

/// The rows of a table up to the first that is not whole.
#[derive(Debug)]
pub(super) struct Rows<T> {
    from: Option<BufReader<File>>,
    read: u64,
    flaw: Option<Flaw>,
    row: PhantomData<T>,
}

impl<T: Table + DeserializeOwned> Rows<T> {
    /// Opens the table; one that cannot be opened has no rows, and a flaw.
    pub fn open(folder: &Path) -> Self {
        let (from, flaw) = match open(folder, T::FILE) {
            Ok(file) => (Some(BufReader::new(file)), None),
            Err(flaw) => (None, Some(flaw)),
        };
        Self { from, read: 0, flaw, row: PhantomData }
    }

    /// The file, to read chosen rows of again.
    pub fn file(&mut self) -> Option<&mut BufReader<File>> {
        self.from.as_mut()
    }

    /// What was wrong with the table as far as it was read; told once.
    pub fn take_flaw(&mut self) -> Option<Flaw> {
        self.flaw.take()
    }
}

impl<T: Table + DeserializeOwned> Iterator for Rows<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        match codec::read(self.from.as_mut()?) {
            Ok(row) => {
                self.read += u64::from(row.is_some());
                row
            }
            Err(codec::Damaged) => {
                self.flaw = Some(Flaw { file: T::FILE, kind: FlawKind::AfterRow(self.read) });
                None
            }
        }
    }
}
