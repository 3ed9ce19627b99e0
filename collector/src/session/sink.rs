//! The writer thread: owns the trace folder, takes what the drain thread has for it.

use std::{fs, io, path::PathBuf, thread::JoinHandle};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::{
    ledger::{Additions, Instance},
    nvml::Reading,
    process::Bystander,
    source::Drained,
    store::{LiveRow, MarkRow, ProcessRow, SampleRow, Writer},
    sys,
};

/// Batches that may wait for the disk. A drain that has to wait lets the rings overwrite their
/// oldest, which is counted.
const WAITING: usize = 64;
/// Slots in one batch at most.
pub const BATCH: usize = 8192;

/// Something to keep.
#[derive(Debug)]
pub enum Item {
    /// Drained slots of one process.
    Slots {
        /// Whose.
        instance: Instance,
        /// Salt of their checks.
        salt: u64,
        /// In order.
        drained: Vec<Drained>,
    },
    /// What is new in a process's tables.
    Additions(Instance, Additions),
    /// A process as it is now.
    Process(Box<ProcessRow>),
    /// A live set.
    Live(LiveRow),
    /// Totals and turnover.
    Sample(SampleRow),
    /// What NVML said.
    Reading(Reading),
    /// A process of the job without CUDA.
    Bystander(Box<Bystander>),
    /// A mark from outside.
    Mark(MarkRow),
    /// A sentence about what went wrong.
    Note(String),
    /// All of a ring is stored: its file can go.
    Remove(PathBuf),
    /// Nothing that counts comes any more.
    End,
}

/// The way to the writer thread.
#[derive(Debug)]
pub struct Sink {
    items: Sender<Item>,
    thread: JoinHandle<Option<String>>,
}

impl Sink {
    /// Starts the writer thread; without a writer it takes everything and keeps nothing.
    ///
    /// # Errors
    /// There is no room for a thread.
    pub fn start(writer: Option<Writer>) -> io::Result<Self> {
        let (items, from) = bounded(WAITING);
        let thread = std::thread::Builder::new().name("writer".into());
        let thread = thread.spawn(move || write_all(writer, &from))?;
        Ok(Self { items, thread })
    }

    /// Hands one item over; waits for room.
    pub fn send(&self, item: Item) {
        // The thread only ends when this side does.
        let _ = self.items.send(item);
    }

    /// Another way to the writer thread.
    #[must_use]
    pub fn sender(&self) -> Sender<Item> {
        self.items.clone()
    }

    /// Ends the trace; what went wrong with writing it, if anything did.
    #[must_use]
    pub fn finish(self) -> Option<String> {
        self.send(Item::End);
        self.thread.join().unwrap_or_else(|_| Some("writing failed: the trace is cut".to_owned()))
    }
}

/// Writes until nobody sends any more. After the first failure nothing is written, and no ring
/// removed, but everything taken: the drain must go on.
fn write_all(mut writer: Option<Writer>, items: &Receiver<Item>) -> Option<String> {
    let mut failed = None;
    for item in items.iter().take_while(|item| !matches!(item, Item::End)) {
        if let Some(Err(error)) = writer.as_mut().map(|writer| write(writer, item)) {
            failed = Some(error);
            writer = None;
        }
    }
    let failed = failed.or_else(|| writer?.finish(sys::realtime()).err());
    failed.map(|error| format!("the trace is cut: it could not be written any more: {error}"))
}

fn write(writer: &mut Writer, item: Item) -> io::Result<()> {
    match item {
        Item::Slots { instance, salt, drained } => {
            let tail = writer.tail();
            tail.source(instance, salt);
            for one in &drained {
                match one {
                    Drained::Slot { words, record, .. } => tail.slot(words, record.as_ref()),
                    Drained::Lost(slots) => tail.gap(*slots),
                }
            }
            writer.commit(sys::realtime())
        }
        Item::Additions(instance, new) => writer.additions(instance, new),
        Item::Process(row) => writer.row(&*row),
        Item::Live(row) => writer.row(&row),
        Item::Sample(row) => writer.row(&row),
        Item::Reading(reading) => writer.row(&reading),
        Item::Bystander(bystander) => writer.row(&*bystander),
        Item::Mark(row) => writer.row(&row),
        Item::Note(text) => writer.note(sys::realtime(), &text),
        Item::Remove(path) => match fs::remove_file(path) {
            // Somebody was quicker.
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        },
        Item::End => Ok(()),
    }
}
