//! `memtrace run`: a job started, its processes drained while they run, and a trace left behind.
//!
//! ```text
//! this thread   starts the command, hands signals on, reaps whoever ends
//! drain thread  finds new rings, drains them all, owns what is known of each process
//! writer thread owns the trace folder
//! ```
//!
//! A job that somebody else started is followed by a [`Witness`], on the thread of whoever drives it.
//!
//! The job comes first: whatever goes wrong here becomes a note, and the job goes on. Its exit
//! status is ours.

mod bystanders;
mod drainer;
mod gpus;
pub(crate) mod job_folder;
mod pace;
pub mod preload;
mod refused;
mod sampler;
mod sink;
mod traced;
mod witness;

pub use witness::{Moment, Witness};

use std::{
    ffi::OsString,
    io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
    thread::{self, JoinHandle},
    time::Duration,
};

use crossbeam_channel::{Receiver, Sender, unbounded};

use crate::{
    ledger::End,
    process::{proc_fs, redact},
    source::{tidy, user_folder},
    store::{FORMAT, TABLES, Trace, Writer},
    sys::{self, child, signal},
};
use drainer::{Drainer, News};
use job_folder::JobFolder;
use sink::{Item, Sink};

/// How often who ended is looked for while the last of the job is drained.
const LOOK: Duration = Duration::from_millis(5);

/// What to run, and where the trace goes.
#[derive(Debug)]
pub struct Options {
    /// Program and arguments; not empty.
    pub command: Vec<OsString>,
    /// The trace folder, which must not exist yet or be empty.
    pub folder: PathBuf,
    /// Whether the user asked for that folder by name: then a job whose trace cannot be left there
    /// is not started. Otherwise it runs without.
    pub folder_is_chosen: bool,
    /// `libmemtrace.so`.
    pub library: PathBuf,
}

/// How far a job is; what a progress line shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Processes that record now.
    pub processes: usize,
    /// Physical bytes they hold.
    pub reserved: u64,
    /// Bytes in blocks.
    pub allocated: u64,
    /// Events so far, of all processes.
    pub events: u64,
    /// Events that were lost.
    pub dropped: u64,
}

/// What became of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Exit status to leave with: the command's, 128 + n for signal n, 127 or 126 where it could
    /// not be started.
    pub status: u8,
    /// Why it could not be started.
    pub not_started: Option<String>,
    /// The trace folder, where one was written.
    pub folder: Option<PathBuf>,
    /// Sentences about what went wrong with tracing.
    pub notes: Vec<String>,
}

/// Runs a job to its end. `progress` is told about once a second how far it is.
///
/// # Errors
/// The trace folder that was chosen cannot be made or is not empty; nothing was started.
pub fn run(
    options: &Options,
    progress: impl FnMut(Progress) + Send + 'static,
) -> Result<Outcome, io::Error> {
    let head = Trace {
        memtrace_trace: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        command: shown(&options.command),
        started_ns: sys::realtime(),
        ended_ns: None,
    };
    let existed = options.folder.exists();
    let mut notes = Vec::new();
    let writer = match Writer::create(&options.folder, head) {
        Ok(writer) => Some(writer),
        Err(error) if options.folder_is_chosen => return Err(error),
        Err(error) => {
            notes.push(format!("no trace can be left in {}: {error}", options.folder.display()));
            None
        }
    };

    let mut command = Command::new(&options.command[0]);
    command.args(&options.command[1..]).arg0(&options.command[0]);
    if let Ok(Some(sentence)) = tidy(&user_folder()) {
        notes.push(sentence);
    }
    let job_folder = match prepare(&options.library, &mut command) {
        Ok(job_folder) => Some(job_folder),
        Err(sentence) => {
            notes.push(sentence);
            None
        }
    };
    if let Err(error) = child::become_reaper() {
        notes.push(format!("orphans of the job are not followed: {error}"));
    }
    signal::catch();
    let started = match command.spawn() {
        Ok(started) => started,
        Err(error) => {
            if writer.is_some() {
                discard(&options.folder, existed);
            }
            return Ok(not_started(&options.command[0], &error, notes));
        }
    };
    signal::forward_to(started.id());

    let (news, inbox) = unbounded();
    let folder = writer.as_ref().map(|_| options.folder.clone());
    let rings = job_folder.as_ref().map(|folder| folder.path().to_owned());
    let drainer = start_draining(rings, inbox, writer, progress, &notes);
    let end = reap_until(started.id(), &news);
    let _ = news.send(News::Over);
    let trouble = match drainer {
        Ok(drainer) => {
            while !drainer.is_finished() {
                reap_ended(&news);
                thread::sleep(LOOK);
            }
            drainer.join().unwrap_or_else(|_| Some("draining failed: the trace is cut".to_owned()))
        }
        Err(error) => Some(format!("nothing was drained: {error}")),
    };
    notes.extend(trouble);
    drop(job_folder);
    Ok(Outcome { status: status(end), not_started: None, folder, notes })
}

/// Makes the folder of the job's rings and gives the command its environment.
fn prepare(library: &Path, command: &mut Command) -> Result<JobFolder, String> {
    let untraced = |why: String| format!("the job ran untraced: {why}");
    if std::env::var_os("MEMTRACE_DISABLE").is_some_and(|value| value == "1") {
        return Err(untraced("MEMTRACE_DISABLE=1 is set".to_owned()));
    }
    preload::loadable(library).map_err(untraced)?;
    let job_folder = JobFolder::create(&user_folder()).map_err(untraced)?;
    preload::set(command, library, job_folder.path());
    Ok(job_folder)
}

fn start_draining(
    rings: Option<PathBuf>,
    news: Receiver<News>,
    writer: Option<Writer>,
    progress: impl FnMut(Progress) + Send + 'static,
    notes: &[String],
) -> io::Result<JoinHandle<Option<String>>> {
    let sink = Sink::start(writer)?;
    for sentence in notes {
        sink.send(Item::Note(sentence.clone()));
    }
    let drainer = Drainer::new(rings, news, sink, progress);
    thread::Builder::new().name("drain".into()).spawn(move || drainer.run())
}

/// Waits until `command` has ended, reaping every other child that ends.
fn reap_until(command: u32, news: &Sender<News>) -> End {
    while let Some(ended) = child::ended(true) {
        if ended.pid == command {
            signal::forward_to_nobody();
        }
        settle(ended, news);
        if ended.pid == command {
            return ended.end;
        }
    }
    // The kernel says there is no child: somebody else has reaped it.
    End::Ended
}

fn reap_ended(news: &Sender<News>) {
    while let Some(ended) = child::ended(false) {
        settle(ended, news);
    }
}

fn settle(ended: child::Ended, news: &Sender<News>) {
    if let Some(stat) = proc_fs::stat(ended.pid) {
        let (pid, start_ticks, end) = (ended.pid, stat.start_ticks, ended.end);
        let _ = news.send(News::Ended { pid, start_ticks, end });
    }
    child::reap(ended.pid);
}

fn status(end: End) -> u8 {
    match end {
        End::Exited(Some(code)) => code as u8,
        End::Killed(signal) => 128u8.saturating_add(signal as u8),
        End::Exited(None) | End::Ended | End::Running => 1,
    }
}

fn not_started(program: &OsString, error: &io::Error, notes: Vec<String>) -> Outcome {
    let (status, why) = match error.kind() {
        io::ErrorKind::NotFound => (127, "there is no such command".to_owned()),
        io::ErrorKind::PermissionDenied => (126, "it may not be executed".to_owned()),
        _ => (126, error.to_string()),
    };
    let not_started = Some(format!("{}: {why}", program.display()));
    Outcome { status, not_started, folder: None, notes }
}

/// Takes away the trace of a job that never was.
fn discard(folder: &Path, existed: bool) {
    for file in ["trace.json", wire::folder::TAIL].iter().chain(TABLES) {
        let _ = std::fs::remove_file(folder.join(file));
    }
    if !existed {
        let _ = std::fs::remove_dir(folder);
    }
}

fn shown(command: &[OsString]) -> String {
    let command: Vec<String> = command.iter().map(|word| word.display().to_string()).collect();
    redact::command_line(&command)
}
