//! Memory that goes between processes.

use serde::{Deserialize, Serialize};

/// Memory of another process that is open here: all that one line opened of one owner's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Import {
    /// Whose it is; null where no traced process is known to have handed it out.
    pub from: Option<Peer>,
    /// Whether that is only likely: by GPU, size and time.
    pub likely: bool,
    /// Who opened it.
    pub site: String,
    /// Bytes open now.
    pub bytes: u64,
    /// In how many pieces.
    pub pieces: u64,
    /// Times one of them was opened.
    pub opens: u64,
    /// Times one of them was closed.
    pub closes: u64,
    /// When the oldest was opened.
    pub since_ns: u64,
}

/// Memory that was handed to other processes: all of one line's that is there, or that others have
/// open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Export {
    /// Whose blocks lie in it; where none do, who took it from the driver.
    pub site: String,
    /// Bytes.
    pub bytes: u64,
    /// In how many pieces.
    pub pieces: u64,
    /// Bytes of it that were given back here, and that others have open.
    pub given_back_bytes: u64,
    /// When the oldest was handed out.
    pub since_ns: u64,
    /// Who opened it, most bytes open first.
    pub opened_by: Vec<Opener>,
}

/// A process that opened what another handed out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opener {
    /// The process.
    pub by: Peer,
    /// Whether that is only likely: by GPU, size and time.
    pub likely: bool,
    /// Bytes it has open now.
    pub bytes: u64,
    /// In how many pieces.
    pub pieces: u64,
    /// Times it opened one.
    pub opens: u64,
    /// Times it closed one.
    pub closes: u64,
    /// When it opened the oldest.
    pub since_ns: u64,
}

/// The process on the other side.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Peer {
    /// The process.
    pub instance: String,
    /// Its process id.
    pub pid: u32,
    /// What it is in the job.
    pub role: Option<String>,
}
