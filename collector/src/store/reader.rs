//! Reading a trace folder.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    fs,
    io::{self, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use serde::de::DeserializeOwned;
use wire::folder::TAIL;

use super::{
    BystanderRow, CodesRow, FORMAT, Flaw, FlawKind, LiveRow, MarkRow, ModulesRow, NodesRow,
    NoteRow, ProcessRow, SampleRow, TailItem, TailReader, Trace,
    rows::{Table, load_node},
    table::{Rows, open},
};
use crate::{
    ledger::{Instance, Live, Pairs, Step, Tables},
    nvml::Reading,
    outside::Line,
    process::Bystander,
};

/// Why a folder cannot be read as a trace. Each reads as the second half of a sentence that begins
/// with the folder's path.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoTrace {
    /// There is nothing of that name.
    #[error("does not exist")]
    Missing,
    /// The user may not read it.
    #[error("cannot be read: no permission")]
    NoPermission,
    /// It has no head, or one that is none.
    #[error("is not a trace folder of memtrace: there is no readable trace.json in it")]
    NoHead,
    /// Something was traced, but nothing says of which process.
    #[error("is damaged: no row of processes.bin can be read")]
    NoProcess,
    /// A later memtrace wrote it.
    #[error("has trace format {0}, and this memtrace reads format {FORMAT}: use a newer memtrace")]
    OtherFormat(u32),
}

/// A trace folder, opened. What is wrong with a file is added to the flaws its reader is given.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    head: Trace,
}

impl Folder {
    /// Opens a trace folder.
    ///
    /// # Errors
    /// It is not one of this format, or cannot be read.
    pub fn open(path: &Path) -> Result<Self, NoTrace> {
        let head = Trace::read(path).map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => NoTrace::NoPermission,
            io::ErrorKind::NotFound if !path.exists() => NoTrace::Missing,
            _ => NoTrace::NoHead,
        })?;
        if head.memtrace_trace != FORMAT {
            return Err(NoTrace::OtherFormat(head.memtrace_trace));
        }
        Ok(Self { path: path.to_owned(), head })
    }

    /// Its head.
    #[must_use]
    pub const fn head(&self) -> &Trace {
        &self.head
    }

    /// The last row of each process, by start.
    ///
    /// # Errors
    /// There is no whole row, but something that came after one, or was one.
    pub fn processes(&self, flaws: &mut Vec<Flaw>) -> Result<Vec<ProcessRow>, NoTrace> {
        // Before the rows are read: a process has its first row before its first slot.
        let traced = self.length(TAIL) > 0;
        let mut last: BTreeMap<Instance, ProcessRow> = BTreeMap::new();
        for row in self.rows::<ProcessRow>(flaws) {
            last.insert(row.identity.instance, row);
        }
        if last.is_empty() && (traced || self.length(ProcessRow::FILE) > 0) {
            return Err(NoTrace::NoProcess);
        }
        let mut rows: Vec<_> = last.into_values().collect();
        rows.sort_by_key(|row| (row.identity.started_realtime, row.identity.instance));
        Ok(rows)
    }

    /// The processes of the job that never used CUDA, by start.
    pub fn bystanders(&self, flaws: &mut Vec<Flaw>) -> Vec<Bystander> {
        let mut last: BTreeMap<(u64, u32), BystanderRow> = BTreeMap::new();
        for row in self.rows::<BystanderRow>(flaws) {
            last.insert((row.start_ticks, row.pid), row);
        }
        last.into_values().collect()
    }

    /// What stack ids mean, by process.
    pub fn tables(&self, flaws: &mut Vec<Flaw>) -> BTreeMap<Instance, Tables> {
        let mut tables: BTreeMap<Instance, Tables> = BTreeMap::new();
        for row in self.rows::<NodesRow>(flaws) {
            let nodes = row.nodes.into_iter().map(|(id, node)| (id, load_node(node)));
            tables.entry(row.instance).or_default().nodes.extend(nodes);
        }
        for row in self.rows::<CodesRow>(flaws) {
            tables.entry(row.instance).or_default().codes.extend(row.codes);
        }
        for row in self.rows::<ModulesRow>(flaws) {
            tables.entry(row.instance).or_default().modules.extend(row.modules);
        }
        tables
    }

    /// What NVML said, oldest first.
    pub fn readings(&self, flaws: &mut Vec<Flaw>) -> Vec<Reading> {
        self.rows(flaws).collect()
    }

    /// What went wrong while tracing.
    pub fn notes(&self, flaws: &mut Vec<Flaw>) -> Vec<NoteRow> {
        self.rows(flaws).collect()
    }

    /// What was marked from outside, by process.
    pub fn marks(&self, flaws: &mut Vec<Flaw>) -> BTreeMap<Instance, Vec<Line>> {
        let mut marks: BTreeMap<Instance, Vec<Line>> = BTreeMap::new();
        for line in self.rows(flaws).filter_map(MarkRow::line) {
            marks.entry(line.instance).or_default().push(line);
        }
        marks
    }

    /// Totals and turnover by time, oldest first.
    pub fn samples(&self, flaws: &mut Vec<Flaw>) -> impl Iterator<Item = SampleRow> {
        self.rows(flaws)
    }

    /// Tells `visit` the timelines of all processes, each in order and ending with the last live
    /// set. Streams: the folder may be larger than memory.
    ///
    /// # Errors
    /// Reading failed half-way. A tail that was cut short, or is not there, is no error.
    pub fn timelines(
        &self,
        flaws: &mut Vec<Flaw>,
        mut visit: impl FnMut(Instance, Step<'_>),
    ) -> io::Result<()> {
        let mut live = LiveSets::open(&self.path, flaws)?;
        let mut pairs: HashMap<Instance, Pairs> = HashMap::new();
        let tail = open(&self.path, TAIL).map_err(|flaw| flaws.push(flaw));
        let mut tail = tail.ok().map(TailReader::new);
        for item in tail.iter_mut().flatten() {
            match item? {
                TailItem::Record { instance, position, record } => {
                    let pairs = pairs.entry(instance).or_default();
                    if live.is_due(instance, position) {
                        pairs.finish().iter().for_each(|e| visit(instance, Step::Event(e)));
                        while let Some(set) = live.take(instance, position)? {
                            visit(instance, Step::Live(&set));
                        }
                    }
                    let event = pairs.push(position, record);
                    event.iter().for_each(|event| visit(instance, Step::Event(event)));
                }
                TailItem::Lost { instance, slots } => {
                    let event = pairs.entry(instance).or_default().finish();
                    event.iter().for_each(|event| visit(instance, Step::Event(event)));
                    visit(instance, Step::Lost(slots));
                }
            }
        }
        if let Some(slots @ 1..) = tail.map(|tail| tail.damaged()) {
            flaws.push(Flaw { file: TAIL, kind: FlawKind::Slots(slots) });
        }
        for (instance, mut pairs) in pairs {
            pairs.finish().iter().for_each(|event| visit(instance, Step::Event(event)));
        }
        for instance in live.instances() {
            while let Some(set) = live.take(instance, u64::MAX)? {
                visit(instance, Step::Live(&set));
            }
        }
        Ok(())
    }

    /// The rows of a table; its flaw, if it has one, follows the last.
    fn rows<T: Table + DeserializeOwned>(&self, flaws: &mut Vec<Flaw>) -> impl Iterator<Item = T> {
        let mut rows = Rows::open(&self.path);
        std::iter::from_fn(move || {
            let row = rows.next();
            if row.is_none() {
                flaws.extend(rows.take_flaw());
            }
            row
        })
    }

    /// Bytes of a file; none if it is not there.
    fn length(&self, file: &str) -> u64 {
        fs::metadata(self.path.join(file)).map_or(0, |about| about.len())
    }
}

/// Live sets by process, read when their turn comes.
struct LiveSets {
    rows: Rows<LiveRow>,
    /// Position in the timeline, and offset in the file.
    due: HashMap<Instance, VecDeque<(u64, u64)>>,
}

impl LiveSets {
    fn open(folder: &Path, flaws: &mut Vec<Flaw>) -> io::Result<Self> {
        let mut due: HashMap<Instance, VecDeque<(u64, u64)>> = HashMap::new();
        let mut rows = Rows::<LiveRow>::open(folder);
        let mut offset = 0;
        while let Some(row) = rows.next() {
            due.entry(row.instance).or_default().push_back((row.position, offset));
            offset = rows.file().map_or(Ok(0), Seek::stream_position)?;
        }
        flaws.extend(rows.take_flaw());
        Ok(Self { rows, due })
    }

    fn instances(&self) -> Vec<Instance> {
        self.due.keys().copied().collect()
    }

    fn is_due(&self, instance: Instance, position: u64) -> bool {
        let first = self.due.get(&instance).and_then(|due| due.front());
        first.is_some_and(|(at, _)| *at <= position)
    }

    /// The next live set of `instance` that belongs before `position`.
    fn take(&mut self, instance: Instance, position: u64) -> io::Result<Option<Vec<Live>>> {
        if !self.is_due(instance, position) {
            return Ok(None);
        }
        let next = self.due.get_mut(&instance).and_then(VecDeque::pop_front);
        let (Some((_, offset)), Some(file)) = (next, self.rows.file()) else { return Ok(None) };
        file.seek(SeekFrom::Start(offset))?;
        Ok(self.rows.next().map(|row| row.live()))
    }
}
