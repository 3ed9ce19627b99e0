//! The rows of the side tables.

use serde::{Deserialize, Serialize};
use wire::{
    layout::ENTRY_WORDS,
    live::{Entry, State},
    mark::Kind,
    trie::{FrameKind, Node},
};

use crate::{
    ledger::{Code, End, Gauges, Health, Identity, Instance, Live, Module},
    nvml::Reading,
    outside,
    process::{Bystander, Losses},
};

/// A table: a file of rows of one kind.
pub(super) trait Table {
    /// Name of the file.
    const FILE: &'static str;
}

macro_rules! tables {
    ($($row:ty => $file:literal,)*) => {
        /// Names of the files of all tables.
        pub const TABLES: &[&str] = &[$($file),*];
        $(impl Table for $row { const FILE: &'static str = $file; })*
    };
}

tables! {
    ProcessRow => "processes.bin",
    BystanderRow => "bystanders.bin",
    NodesRow => "nodes.bin",
    CodesRow => "codes.bin",
    ModulesRow => "modules.bin",
    LiveRow => "live.bin",
    SampleRow => "samples.bin",
    Reading => "gpus.bin",
    NoteRow => "notes.bin",
    MarkRow => "marks.bin",
}

/// A process as it was at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessRow {
    /// Who it is. Its command has no secrets.
    pub identity: Identity,
    /// Pid in the collector's pid namespace, where it was found there.
    pub pid: Option<u32>,
    /// What its ledger was doing.
    pub health: Health,
    /// Its devices.
    pub gauges: Vec<Gauges>,
    /// How it ended.
    pub end: End,
    /// What it is in the job.
    pub role: Option<String>,
    /// Names of hooked functions by `api` number.
    pub apis: Vec<String>,
    /// What draining lost so far.
    pub losses: Losses,
    /// `CLOCK_REALTIME`, ns.
    pub time: u64,
}

/// A process of the job that never used CUDA.
pub type BystanderRow = Bystander;

/// Nodes of a process's trie that were not there before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodesRow {
    /// Whose.
    pub instance: Instance,
    /// Id, and parent, whether a Python frame, frame.
    pub nodes: Vec<(u32, (u32, bool, u64))>,
}

/// Code objects of a process that were not there before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodesRow {
    /// Whose.
    pub instance: Instance,
    /// By index.
    pub codes: Vec<(u32, Code)>,
}

/// Modules of a process that were not there before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModulesRow {
    /// Whose.
    pub instance: Instance,
    /// In the order they were recorded.
    pub modules: Vec<Module>,
}

/// What a process held at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveRow {
    /// Whose.
    pub instance: Instance,
    /// The table was read when all slots before this position had been drained: those after it may
    /// or may not be in it, and applying them again does no harm.
    pub position: u64,
    /// `CLOCK_REALTIME`, ns.
    pub time: u64,
    /// Index and words of the entries, as they are in the table.
    pub entries: Vec<(u32, [u64; ENTRY_WORDS])>,
}

impl LiveRow {
    /// The row for a live set.
    #[must_use]
    pub fn new(instance: Instance, position: u64, time: u64, live: &[Live]) -> Self {
        let words = |live: &Live| {
            let mut words = live.entry.encode();
            if live.freeing {
                words[1] = words[1] & !7 | State::Freeing as u64;
            }
            (live.index, words)
        };
        Self { instance, position, time, entries: live.iter().map(words).collect() }
    }

    /// The live set.
    #[must_use]
    pub fn live(&self) -> Vec<Live> {
        let entry = |(index, words): &(u32, [u64; ENTRY_WORDS])| {
            let (state, entry) = Entry::decode(words);
            Some(Live { index: *index, freeing: state == State::Freeing, entry: entry? })
        };
        self.entries.iter().filter_map(entry).collect()
    }
}

/// Something that went wrong while tracing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoteRow {
    /// `CLOCK_REALTIME`, ns.
    pub time: u64,
    /// A sentence.
    pub text: String,
    /// From now on block events are not stored.
    pub blocks_unstored: bool,
}

/// A mark that somebody set from outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarkRow {
    /// Whose.
    pub instance: Instance,
    /// `CLOCK_MONOTONIC`, ns.
    pub time: u64,
    /// Number of a [`wire::mark::Kind`].
    pub kind: u8,
    /// Its name.
    pub name: String,
}

impl From<outside::Line> for MarkRow {
    fn from(line: outside::Line) -> Self {
        let outside::Line { time, instance, kind, name } = line;
        Self { instance, time, kind: kind as u8, name }
    }
}

impl MarkRow {
    /// The mark; `None` if it is of a kind that this version does not know.
    #[must_use]
    pub fn line(self) -> Option<outside::Line> {
        let Self { instance, time, kind, name } = self;
        Some(outside::Line { time, instance, kind: Kind::of(kind.into())?, name })
    }
}

/// Totals and turnover of a stretch of time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SampleRow {
    /// A second of one device of a process.
    Totals(TotalsSample),
    /// Ten seconds of one site of a process.
    Site(SiteSample),
}

/// Least and greatest totals of a process on one device in one second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TotalsSample {
    /// Whose.
    pub instance: Instance,
    /// CUDA ordinal.
    pub device: u8,
    /// `CLOCK_MONOTONIC` of the begin of the second, ns.
    pub time: u64,
    /// Bytes in blocks, of PyTorch's caching allocator and stream-ordered ones.
    pub allocated: Range,
    /// Physical bytes.
    pub reserved: Range,
    /// Bytes in blocks of PyTorch's caching allocator.
    pub torch_allocated: Range,
    /// Bytes it holds.
    pub torch_reserved: Range,
}

/// The least and the greatest value of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// Least value.
    pub least: u64,
    /// Greatest value.
    pub greatest: u64,
}

impl Range {
    /// The range of one value.
    #[must_use]
    pub const fn of(value: u64) -> Self {
        Self { least: value, greatest: value }
    }

    /// Takes one more value in.
    pub fn widen(&mut self, value: u64) {
        self.least = self.least.min(value);
        self.greatest = self.greatest.max(value);
    }
}

/// What one site did in ten seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteSample {
    /// Whose.
    pub instance: Instance,
    /// CUDA ordinal.
    pub device: u8,
    /// `CLOCK_MONOTONIC` of the begin of the ten seconds, ns.
    pub time: u64,
    /// Native and Python stack.
    pub stacks: (u32, u32),
    /// Blocks born.
    pub births: u64,
    /// Blocks that died.
    pub deaths: u64,
    /// Bytes live at the end.
    pub live_bytes: u64,
}

/// A node as it is stored.
#[must_use]
pub(super) fn store_node(node: &Node) -> (u32, bool, u64) {
    (node.parent, node.kind == FrameKind::Python, node.frame)
}

/// A stored node.
#[must_use]
pub(super) fn load_node((parent, python, frame): (u32, bool, u64)) -> Node {
    let kind = if python { FrameKind::Python } else { FrameKind::Native };
    Node { parent, kind, frame }
}
