//! Reading a trace folder.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    fs::File,
    io::{self, BufReader, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use serde::de::DeserializeOwned;

use super::{
    BystanderRow, CodesRow, FORMAT, LiveRow, ModulesRow, NodesRow, NoteRow, ProcessRow, SampleRow,
    TailItem, TailReader, Trace, codec,
    rows::{Table, load_node},
};
use crate::{
    ledger::{Instance, Live, Pairs, Step, Tables},
    nvml::Reading,
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
    /// A later memtrace wrote it.
    #[error("has trace format {0}, and this memtrace reads format {FORMAT}: use a newer memtrace")]
    OtherFormat(u32),
}

/// A trace folder, opened.
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
    #[must_use]
    pub fn processes(&self) -> Vec<ProcessRow> {
        let mut last: BTreeMap<Instance, ProcessRow> = BTreeMap::new();
        for row in self.rows::<ProcessRow>() {
            last.insert(row.identity.instance, row);
        }
        let mut rows: Vec<_> = last.into_values().collect();
        rows.sort_by_key(|row| (row.identity.started_realtime, row.identity.instance));
        rows
    }

    /// The processes of the job that never used CUDA, by start.
    #[must_use]
    pub fn bystanders(&self) -> Vec<Bystander> {
        let mut last: BTreeMap<(u64, u32), BystanderRow> = BTreeMap::new();
        for row in self.rows::<BystanderRow>() {
            last.insert((row.start_ticks, row.pid), row);
        }
        last.into_values().collect()
    }

    /// What stack ids mean, by process.
    #[must_use]
    pub fn tables(&self) -> BTreeMap<Instance, Tables> {
        let mut tables: BTreeMap<Instance, Tables> = BTreeMap::new();
        for row in self.rows::<NodesRow>() {
            let nodes = row.nodes.into_iter().map(|(id, node)| (id, load_node(node)));
            tables.entry(row.instance).or_default().nodes.extend(nodes);
        }
        for row in self.rows::<CodesRow>() {
            tables.entry(row.instance).or_default().codes.extend(row.codes);
        }
        for row in self.rows::<ModulesRow>() {
            tables.entry(row.instance).or_default().modules.extend(row.modules);
        }
        tables
    }

    /// What NVML said, oldest first.
    #[must_use]
    pub fn readings(&self) -> Vec<Reading> {
        self.rows().collect()
    }

    /// What went wrong while tracing.
    #[must_use]
    pub fn notes(&self) -> Vec<NoteRow> {
        self.rows().collect()
    }

    /// Totals and turnover by time, oldest first.
    pub fn samples(&self) -> impl Iterator<Item = SampleRow> + use<> {
        self.rows()
    }

    /// Tells `visit` the timelines of all processes, each in order and ending with the last live
    /// set. Streams: the folder may be larger than memory.
    ///
    /// # Errors
    /// Reading failed half-way. A tail that was cut short, or is not there, is no error.
    pub fn timelines(&self, mut visit: impl FnMut(Instance, Step<'_>)) -> io::Result<()> {
        let mut live = LiveSets::open(&self.path)?;
        let mut pairs: HashMap<Instance, Pairs> = HashMap::new();
        let tail = match TailReader::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            tail => Some(tail?),
        };
        for item in tail.into_iter().flatten() {
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

    /// The rows of a table; none if it is not there. Ends at the first row that is not whole.
    fn rows<T: Table + DeserializeOwned>(&self) -> impl Iterator<Item = T> + use<T> {
        let file = File::open(self.path.join(T::FILE)).ok();
        let mut from = file.map(BufReader::new);
        std::iter::from_fn(move || codec::read(from.as_mut()?))
    }
}

/// Live sets by process, read when their turn comes.
struct LiveSets {
    file: Option<BufReader<File>>,
    /// Position in the timeline, and offset in the file.
    due: HashMap<Instance, VecDeque<(u64, u64)>>,
}

impl LiveSets {
    fn open(folder: &Path) -> io::Result<Self> {
        let mut due: HashMap<Instance, VecDeque<(u64, u64)>> = HashMap::new();
        let file = match File::open(folder.join(LiveRow::FILE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            file => Some(file?),
        };
        let mut file = file.map(BufReader::new);
        if let Some(file) = &mut file {
            let mut offset = 0;
            while let Some(row) = codec::read::<LiveRow>(file) {
                due.entry(row.instance).or_default().push_back((row.position, offset));
                offset = file.stream_position()?;
            }
        }
        Ok(Self { file, due })
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
        let (Some((_, offset)), Some(file)) = (next, &mut self.file) else { return Ok(None) };
        file.seek(SeekFrom::Start(offset))?;
        Ok(codec::read::<LiveRow>(file).map(|row| row.live()))
    }
}
