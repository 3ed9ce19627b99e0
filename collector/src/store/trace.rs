//! `trace.json`: what a folder is.

use std::{fs, io, path::Path};

use serde::{Deserialize, Serialize};

/// Number of the format of the folder.
pub const FORMAT: u32 = 1;
const FILE: &str = "trace.json";

/// The head of a trace folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// [`FORMAT`].
    pub memtrace_trace: u32,
    /// Version of the memtrace that wrote it.
    pub version: String,
    /// The traced command, without secrets.
    pub command: String,
    /// `CLOCK_REALTIME` at the start, ns.
    pub started_ns: u64,
    /// `CLOCK_REALTIME` at the end, ns; `null` while tracing goes on, or if the tracer was killed.
    pub ended_ns: Option<u64>,
}

impl Trace {
    /// Writes the head into `folder`, whole or not at all.
    ///
    /// # Errors
    /// It could not be written.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        let text = serde_json::to_string_pretty(self).map_err(io::Error::other)?;
        let draft = folder.join("trace.json.new");
        fs::write(&draft, text + "\n")?;
        fs::rename(draft, folder.join(FILE))
    }

    /// Reads the head of `folder`.
    ///
    /// # Errors
    /// It is not there, or not a head.
    pub fn read(folder: &Path) -> io::Result<Self> {
        let text = fs::read_to_string(folder.join(FILE))?;
        serde_json::from_str(&text).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
    }
}
