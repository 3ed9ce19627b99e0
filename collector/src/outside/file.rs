//! Appending to a file of marks.

use std::{
    collections::HashSet,
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
    thread,
    time::Duration,
};

use wire::{
    mark::Kind,
    outside::{self, DRAFT, FILE},
};

use super::{Line, MOST, fit, lines};
use crate::{ledger::Instance, source::rings, sys};

/// How long another `memtrace mark` is waited for: it holds the file for as long as a write takes.
const TRIES: u32 = 200;
const WAIT: Duration = Duration::from_millis(10);

/// Marks `instances`, whose rings lie in `folder`, all at one moment. True if the oldest marks had to
/// make room.
///
/// # Errors
/// The name is empty, or the file cannot be written; what was written of a line is none.
pub fn append(folder: &Path, instances: &[Instance], kind: Kind, name: &str) -> io::Result<bool> {
    let name = fit(name);
    if name.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a mark needs a name"));
    }
    let path = folder.join(FILE);
    let told =
        |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let mut file = open(&path).map_err(told)?;
    let room = (instances.len() * outside::LINE_BYTES) as u64;
    let dropped = file.metadata().map_err(told)?.len() + room > MOST;
    if dropped {
        file = make_room(folder, &path, MOST / 2).map_err(told)?;
    }
    let mut text = String::new();
    if !ends_a_line(&mut file).map_err(told)? {
        text.push('\n');
    }
    // Under the lock, so that times in the file do not go back.
    let time = sys::monotonic();
    for instance in instances {
        text += &outside::Line { time, instance: instance.0, kind, name: &name }.to_string();
    }
    file.write_all(text.as_bytes()).map_err(told)?;
    Ok(dropped)
}

/// Opens the file, and locks it against others who write. It is one's own, or is not opened.
fn open(path: &Path) -> io::Result<File> {
    for _ in 0..TRIES {
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC)
            .open(path)?;
        let opened = file.metadata()?;
        lines::check(&opened)?;
        match file.try_lock() {
            // Whoever had it may have put another in its place.
            Ok(()) if fs::symlink_metadata(path).is_ok_and(|now| now.ino() == opened.ino()) => {
                return Ok(file);
            }
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => thread::sleep(WAIT),
            Err(fs::TryLockError::Error(error)) => return Err(error),
        }
    }
    Err(io::Error::new(io::ErrorKind::WouldBlock, "another process keeps it locked"))
}

/// Puts a file in its place with the newest marks of processes that have a ring in `folder`, as many
/// as have `room`, bytes.
fn make_room(folder: &Path, path: &Path, room: u64) -> io::Result<File> {
    let here: HashSet<Instance> =
        rings(folder)?.iter().filter_map(|found| found.instance()).collect();
    let known: Vec<Line> = lines::read(folder, u64::MAX).lines;
    let mut kept: Vec<String> = Vec::new();
    let mut bytes = 0;
    for line in known.iter().rev().filter(|line| here.contains(&line.instance)) {
        let Line { time, instance, kind, name } = line;
        let text =
            outside::Line { time: *time, instance: instance.0, kind: *kind, name }.to_string();
        bytes += text.len() as u64;
        if bytes > room {
            break;
        }
        kept.push(text);
    }
    kept.reverse();
    let draft = folder.join(DRAFT);
    // One that a killed process left.
    let _ = fs::remove_file(&draft);
    let mut file =
        OpenOptions::new().read(true).append(true).create_new(true).mode(0o600).open(&draft)?;
    file.try_lock().map_err(|_| io::Error::from(io::ErrorKind::WouldBlock))?;
    file.write_all(kept.concat().as_bytes())?;
    fs::rename(&draft, path)?;
    Ok(file)
}

fn ends_a_line(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(true);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}
