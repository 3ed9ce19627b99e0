//! Reading a file of marks. Whatever it says is a claim.

use std::{
    collections::HashSet,
    fs::{Metadata, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use wire::outside::{self, FILE};

use super::{Line, MOST, fit};
use crate::{ledger::Instance, sys};

/// What a file of marks says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Read {
    /// Its marks, in their order there.
    pub lines: Vec<Line>,
    /// A sentence about what in it could not be read, if anything could not.
    pub trouble: Option<String>,
}

/// Reads the marks in `folder`; those later than `now`, ns of `CLOCK_MONOTONIC`, cannot be.
#[must_use]
pub fn read(folder: &Path, now: u64) -> Read {
    let path = folder.join(FILE);
    let bytes = match bytes(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Read::default(),
        Err(error) => {
            let trouble = format!("{}: no mark was read: {error}", path.display());
            return Read { trouble: Some(trouble), ..Read::default() };
        }
    };
    let (mut lines, mut others) = (Vec::new(), 0_u64);
    // What comes after the last line's end is being written.
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    for line in bytes[..whole].split_inclusive(|byte| *byte == b'\n') {
        let line = line.trim_ascii_end();
        match std::str::from_utf8(line).ok().and_then(|line| known(line, now)) {
            Some(line) => lines.push(line),
            None => others += u64::from(!line.is_empty()),
        }
    }
    let trouble = if bytes.len() as u64 > MOST {
        Some(format!("{} is longer than it can be: its end was not read", path.display()))
    } else {
        (others > 0).then(|| format!("{}: {others} of its lines are no marks", path.display()))
    };
    Read { lines, trouble }
}

fn known(line: &str, now: u64) -> Option<Line> {
    let outside::Line { time, instance, kind, name } = outside::Line::parse(line)?;
    (time <= now).then(|| Line { time, instance: Instance(instance), kind, name: fit(name) })
}

fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    let file = OpenOptions::new()
        .read(true)
        // Not blocking: a pipe of that name must not hang the collector.
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open(path)?;
    check(&file.metadata()?)?;
    let mut bytes = Vec::new();
    file.take(MOST + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Whether a file may be one of marks: a plain one of the user's own.
///
/// # Errors
/// It may not.
pub(super) fn check(metadata: &Metadata) -> io::Result<()> {
    let wrong = |text| Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    if !metadata.is_file() {
        wrong("it is not a file")
    } else if metadata.uid() != sys::user() {
        wrong("it belongs to another user")
    } else {
        Ok(())
    }
}

/// Reads a file of marks again and again.
#[derive(Debug)]
pub struct Reader {
    folder: PathBuf,
    /// Length, time of change and inode when it was read last.
    looked: Option<(u64, i64, i64, u64)>,
    /// What was in it then. The file may be put in place anew, without its oldest lines.
    known: HashSet<Line>,
    trouble: Option<String>,
}

impl Reader {
    /// A reader of the marks in `folder`.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, looked: None, known: HashSet::new(), trouble: None }
    }

    /// The marks that were not there the last time.
    pub fn news(&mut self) -> Vec<Line> {
        let looked = std::fs::symlink_metadata(self.folder.join(FILE)).ok();
        let looked = looked.map(|now| (now.len(), now.mtime(), now.mtime_nsec(), now.ino()));
        if looked == self.looked {
            return Vec::new();
        }
        self.looked = looked;
        let Read { lines, trouble } = read(&self.folder, sys::monotonic());
        self.trouble = trouble.or(self.trouble.take());
        let new = lines.iter().filter(|line| !self.known.contains(*line)).cloned().collect();
        self.known = lines.into_iter().collect();
        new
    }

    /// A sentence about what could not be read, if anything could not.
    #[must_use]
    pub fn into_trouble(self) -> Option<String> {
        self.trouble
    }
}
