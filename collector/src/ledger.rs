//! What one process's file says, copied out and checked: the common currency of the collector.
//!
//! `source` fills these from a ring file, `store` writes and reads them back from a trace folder;
//! everything downstream works from here and cannot tell which it was.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wire::{
    live::Entry,
    record::{FLAG_SECOND, Record, Verb},
    trie::{FrameKind, Node},
};

/// Random 128-bit name of a process image. Shown as 32 lower-case hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Instance(pub [u64; 2]);

impl std::fmt::Display for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}{:016x}", self.0[0], self.0[1])
    }
}

/// Who wrote a file, as the file says. Claims: only `source` checks them against `/proc`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The process image.
    pub instance: Instance,
    /// Process id in the process's own pid namespace.
    pub pid: u32,
    /// Inode of that namespace.
    pub pid_namespace: u64,
    /// Start time, clock ticks since boot.
    pub start_ticks: u64,
    /// `CLOCK_MONOTONIC` when the ledger was opened, ns.
    pub started_monotonic: u64,
    /// `CLOCK_REALTIME` at the same moment, ns.
    pub started_realtime: u64,
    /// Arguments, not redacted; redaction is for whoever shows them.
    pub command: Vec<String>,
    /// Path of the executable.
    pub executable: String,
    /// The recorded environment variables.
    pub environment: BTreeMap<String, String>,
    /// CUDA driver version, 0 if not known.
    pub driver_version: u32,
}

/// What the ledger is doing, and what it lost.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Health {
    /// `wire::header::MODE` word.
    pub mode: u64,
    /// `wire::header::PYTHON_STATE` word.
    pub python_state: u64,
    /// `wire::header::PYTHON_VERSION` word.
    pub python_version: u64,
    /// Clean-exit word: `CLOCK_MONOTONIC` of the library's finaliser, ns; 0 without one.
    pub exited: u64,
    /// Slots ever claimed.
    pub head: u64,
    /// Loss counters by `wire::header::Counter`.
    pub counters: Vec<u64>,
    /// A sentence beside the reason, where the process left one.
    pub detail: String,
}

impl Health {
    /// The value of one loss counter.
    #[must_use]
    pub fn counter(&self, counter: wire::header::Counter) -> u64 {
        self.counters.get(counter as usize).copied().unwrap_or(0)
    }
}

/// One CUDA device of a process: what it is and the recorder's gauges (`wire::device`), bytes and
/// ns of `CLOCK_MONOTONIC`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Gauges {
    /// CUDA ordinal in the process.
    pub device: u8,
    /// UUID as two words, zero if not known.
    pub uuid: [u64; 2],
    /// Memory of the device.
    pub total: u64,
    /// Physical bytes taken from the driver.
    pub reserved: u64,
    /// Its peak.
    pub reserved_peak: u64,
    /// When.
    pub reserved_peak_time: u64,
    /// Bytes in blocks.
    pub allocated: u64,
    /// Its peak.
    pub allocated_peak: u64,
    /// When.
    pub allocated_peak_time: u64,
    /// What PyTorch reported last as reserved.
    pub torch_reserved: u64,
    /// Its peak.
    pub torch_reserved_peak: u64,
    /// Bytes in stream-ordered allocations.
    pub pool_allocated: u64,
}

/// An entry of the live table with its index (a mapping names its handle by it).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Live {
    /// Index in the table.
    pub index: u32,
    /// The real free was under way.
    pub freeing: bool,
    /// What is held.
    pub entry: Entry,
}

/// A record and where in the process's timeline it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Position in the ring.
    pub position: u64,
    /// What happened.
    pub record: Record,
    /// Words of the second slot, where the record has one.
    pub extra: Option<[u64; 3]>,
}

/// One step of a process's timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// Something happened.
    Event(&'a Event),
    /// So many slots are missing here.
    Lost(u64),
    /// This is what it holds. Events before this step are in it; events after it may be already.
    Live(&'a [Live]),
}

/// Puts records and their second slots together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pairs {
    first: Option<Event>,
}

impl Pairs {
    /// The events that are whole now that this record is known: at most the one before it and this.
    pub fn push(&mut self, position: u64, record: Record) -> Vec<Event> {
        let before = self.first.take();
        let event = Event { position, record, extra: None };
        if record.verb != Verb::Second {
            let mut whole: Vec<Event> = before.into_iter().collect();
            if record.flags & FLAG_SECOND == 0 {
                whole.push(event);
            } else {
                self.first = Some(event);
            }
            return whole;
        }
        let extra = [record.address, record.size, record.aux];
        // A second slot whose first was lost says nothing.
        let belongs = |first: &Event| first.position.wrapping_add(1) == position;
        before.into_iter().map(|e| Event { extra: belongs(&e).then_some(extra), ..e }).collect()
    }

    /// The event that still waits for its second slot, which will not come.
    pub fn finish(&mut self) -> Option<Event> {
        self.first.take()
    }
}

/// A Python code object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Code {
    /// Qualified name.
    pub name: String,
    /// File name.
    pub file: String,
    /// Line table as in the interpreter.
    pub lines: Vec<u8>,
    /// First line.
    pub first_line: u32,
    /// `major << 8 | minor` of the interpreter.
    pub python: u32,
}

/// An executable mapping.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Module {
    /// First address.
    pub start: u64,
    /// One past the last.
    pub end: u64,
    /// Offset in the file.
    pub offset: u64,
    /// Path of the file.
    pub path: String,
    /// Inode of the file, to notice a replaced one.
    pub inode: u64,
}

/// The tables that give stack ids their meaning.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Tables {
    /// Nodes of the trie by id.
    pub nodes: BTreeMap<u32, Node>,
    /// Code objects by index.
    pub codes: BTreeMap<u32, Code>,
    /// Modules, in the order they were recorded; of two that overlap the later one counts.
    pub modules: Vec<Module>,
    /// Names of the hooked functions by `api` number.
    pub apis: Vec<String>,
}

impl Tables {
    /// Adds what was not known before.
    pub fn add(&mut self, new: Additions) {
        self.nodes.extend(new.nodes);
        self.codes.extend(new.codes);
        self.modules.extend(new.modules);
    }

    /// The frames of stack `id`, innermost first; empty for no stack. Hostile cycles end: a stack
    /// has at most 1,024 frames here.
    #[must_use]
    pub fn frames(&self, id: u32) -> Vec<(FrameKind, u64)> {
        let mut frames = Vec::new();
        let mut at = id;
        while let Some(node) = self.nodes.get(&at) {
            frames.push((node.kind, node.frame));
            at = node.parent;
            if frames.len() == 1024 {
                break;
            }
        }
        frames
    }
}

impl Identity {
    /// Takes the title that the process has now, if it has one.
    pub fn retitle(&mut self, command: Vec<String>) {
        if !command.is_empty() {
            self.command = command;
        }
    }

    /// `CLOCK_REALTIME` of a moment of this process's `CLOCK_MONOTONIC`, both ns.
    #[must_use]
    pub const fn realtime(&self, monotonic: u64) -> u64 {
        monotonic.wrapping_sub(self.started_monotonic).wrapping_add(self.started_realtime)
    }

    /// The other way; 0 for a moment before the machine started.
    #[must_use]
    pub const fn monotonic(&self, realtime: u64) -> u64 {
        realtime.saturating_sub(self.started_realtime.saturating_sub(self.started_monotonic))
    }
}

/// Text from a traced process, fit to be shown: bytes that are not UTF-8 are replaced, and so are
/// control characters, which could take over a terminal.
#[must_use]
pub fn clean(bytes: &[u8]) -> String {
    let fit = |c: char| match c {
        '\n' | '\t' => ' ',
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    String::from_utf8_lossy(bytes).chars().map(fit).collect()
}

/// What was not known before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Additions {
    /// Nodes with their ids.
    pub nodes: Vec<(u32, Node)>,
    /// Code objects with their indices.
    pub codes: Vec<(u32, Code)>,
    /// Modules in the order they were recorded.
    pub modules: Vec<Module>,
}

impl Additions {
    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty() && self.codes.is_empty() && self.modules.is_empty()
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// It has not.
    Running,
    /// With this exit code, where known.
    Exited(Option<i32>),
    /// By this signal.
    Killed(i32),
    /// It is gone; how is not known.
    Ended,
}
