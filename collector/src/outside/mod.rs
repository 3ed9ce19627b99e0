//! Marks from outside: named moments and phases of a process that somebody else told of.
//!
//! ```text
//! memtrace mark ─▶ file ─▶ `marks` beside the ring ─▶ lines ─▶ queue ─▶ the process's timeline
//! ```
//!
//! Nothing is sent to the process. What it named itself and what was named from outside are told of
//! together: a mark from outside takes its place in the timeline by its time, as if a thread of the
//! process had set it that does nothing else.

mod file;
mod lines;
mod queue;
#[cfg(test)]
mod tests;

pub use file::append;
pub use lines::{Read, Reader, read};
pub use queue::Queue;

use std::{io, path::Path};

pub use wire::mark::Kind;
use wire::mark::NAME_BYTES;

use crate::{
    ledger::{Identity, Instance, clean},
    process::{end::Watch, proc_fs, redact, replaced, role},
    source::{RingFile, rings},
};

/// Bytes that a file of marks has at most.
pub(crate) const MOST: u64 = 1 << 20;

/// A mark from outside.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Line {
    /// `CLOCK_MONOTONIC`, ns.
    pub time: u64,
    /// The process image it is about.
    pub instance: Instance,
    /// A moment, or begin or end of a phase.
    pub kind: Kind,
    /// Fit to be shown, and no longer than a mark's name may be.
    pub name: String,
}

/// Why a mark was not set.
#[derive(Debug, thiserror::Error)]
pub enum NotMarked {
    /// No ring is that process's.
    #[error("process {0} left no ledger")]
    Unknown(u32),
    /// It has ended.
    #[error("process {0} has ended")]
    Ended(u32),
    /// There is no process.
    #[error("no traced process is running")]
    Nobody,
    /// The mark could not be written.
    #[error("{0}")]
    Failed(#[from] io::Error),
}

/// A process that was marked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marked {
    /// Its pid here, where it was found here, else its own word.
    pub pid: u32,
    /// What it is in the job.
    pub role: Option<String>,
    /// Its command line with secrets blotted out.
    pub command: String,
}

/// Marks the process with that pid, or all that record in `folder` and in the jobs' folders inside
/// it. Returns whom it marked, and whether the oldest marks had to make room.
///
/// # Errors
/// Nobody was marked; or not everybody, because a file of marks could not be written.
pub fn mark(
    folder: &Path,
    pid: Option<u32>,
    kind: Kind,
    name: &str,
) -> Result<(Vec<Marked>, bool), NotMarked> {
    let mut known = Vec::new();
    for found in rings(folder)? {
        // What cannot be read is told of by the report.
        let Ok(ring) = RingFile::open(&found.path) else { continue };
        let Ok(identity) = ring.identity() else { continue };
        known.push((found.path.parent().unwrap_or(folder).to_owned(), identity));
    }
    let gone = replaced(known.iter().map(|(_, identity)| identity));
    let is_it = |watch: &Watch, identity: &Identity| {
        pid.is_none_or(|pid| watch.pid() == Some(pid) || identity.pid == pid)
    };
    let (mut ended, mut marked, mut dropped) = (false, Vec::new(), false);
    for group in known.chunk_by(|(a, _), (b, _)| a == b) {
        let mut instances = Vec::new();
        for (_, identity) in group {
            let watch = Watch::new(identity);
            if !is_it(&watch, identity) {
                continue;
            }
            if !watch.is_alive() || gone.contains(&identity.instance) {
                ended = true;
                continue;
            }
            instances.push(identity.instance);
            marked.push(who(identity, &watch));
        }
        if let [(place, _), ..] = group
            && !instances.is_empty()
        {
            dropped |= append(place, &instances, kind, name)?;
        }
    }
    match pid {
        _ if !marked.is_empty() => Ok((marked, dropped)),
        Some(pid) if ended => Err(NotMarked::Ended(pid)),
        Some(pid) => Err(NotMarked::Unknown(pid)),
        None => Err(NotMarked::Nobody),
    }
}

fn who(identity: &Identity, watch: &Watch) -> Marked {
    let mut identity = identity.clone();
    identity.retitle(watch.pid().map(proc_fs::command).unwrap_or_default());
    Marked {
        pid: watch.pid().unwrap_or(identity.pid),
        role: role::role(&identity.command, &identity.environment),
        command: redact::command_line(&identity.command),
    }
}

/// A name fit to be shown, and not longer than what is kept of one.
#[must_use]
fn fit(name: &str) -> String {
    let mut name = clean(name.trim().as_bytes());
    let ends = name.char_indices().map(|(at, c)| at + c.len_utf8());
    name.truncate(ends.take_while(|end| *end <= NAME_BYTES).last().unwrap_or(0));
    name
}
