//! The trial: a process with the library preloaded that asks the driver for the hooked names, takes
//! some memory and gives it back, while its ledger is read from outside, as any job's is.
//!
//! ```text
//! doctor ── starts ──▶ the same command, hidden, in the environment that a job would have
//!    ◀── lines of JSON: what it found, and what it holds now
//!    ──▶ one line for each thing it holds: the ledger has been read, go on
//! ```

mod inside;
mod ledger;

pub use inside::{Said, run as inside};

use std::{
    io::{BufRead, BufReader, Read, Write},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::Duration,
};

use super::{Question, names::Names};
use crate::session::{job_folder::JobFolder, preload};
use ledger::Reading;

/// How long the driver may take for its next answer. A start of eight GPUs takes some seconds.
const PATIENCE: Duration = Duration::from_secs(120);

/// The driver's library in the trial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its file.
    pub path: PathBuf,
    /// The CUDA version it has, as the driver counts.
    pub version: Option<i32>,
}

/// How the allocation went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The driver refused a call.
    Refused {
        /// Which.
        call: String,
        /// Its status, where it has the function.
        status: Option<i32>,
    },
    /// The ledger has what was done.
    ReadBack {
        /// What was taken.
        bytes: u64,
        /// Which ledger the process got.
        profile: String,
        /// Names that were recognised by name only.
        by_name: u64,
    },
    /// The ledger has not, in one sentence.
    NotRecorded(String),
}

/// What the trial told.
#[derive(Debug, Default)]
pub struct Told {
    /// The driver's library, or why it cannot be loaded; `None` if the trial did not get so far.
    pub driver: Option<Result<Found, String>>,
    /// What became of the names.
    pub names: Option<Names>,
    /// How the allocation went.
    pub answer: Option<Answer>,
    /// What went wrong with the trial itself.
    pub trouble: Option<String>,
}

/// Starts the trial, with its rings in `folder`, and hears it to its end. Without a folder it keeps none: the
/// driver and the names are looked at all the same.
pub fn run(question: &Question, folder: Option<&JobFolder>) -> Told {
    let (program, argument) = &question.trial;
    let mut command = Command::new(program);
    command.arg(argument).arg(&question.library);
    let rings = folder.map_or(Path::new("/dev/null"), JobFolder::path);
    preload::set(&mut command, &question.library, rings);
    if folder.is_none() {
        command.env("MEMTRACE_DISABLE", "1");
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut told = Told::default();
    match command.spawn() {
        Ok(child) => hear(child, folder, &mut told),
        Err(error) => {
            told.trouble = Some(format!("{} cannot be started: {error}", program.display()))
        }
    }
    if let Some(folder) = folder {
        folder.discard();
    }
    told
}

fn hear(mut child: Child, folder: Option<&JobFolder>, told: &mut Told) {
    let (Some(mut to), Some(from), Some(mut errors)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return;
    };
    let (said, heard) = channel();
    let reader = thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            let Ok(one) = serde_json::from_str::<Said>(&line) else { continue };
            if said.send(one).is_err() {
                break;
            }
        }
    });
    let complaint = thread::spawn(move || {
        let mut text = String::new();
        let _ = errors.read_to_string(&mut text);
        text
    });
    let late = listen(&heard, &mut to, folder, told);
    if late {
        let _ = child.kill();
        told.trouble =
            Some(format!("the driver did not answer within {} seconds", PATIENCE.as_secs()));
    }
    drop(to);
    let status = child.wait();
    drop(heard);
    let _ = reader.join();
    let complaint = complaint.join().unwrap_or_default();
    let Ok(status) = status else { return };
    if !late && !status.success() {
        let how = match status.signal() {
            Some(signal) => format!("was killed by signal {signal}"),
            None => format!("ended with {}", status.code().unwrap_or_default()),
        };
        let why = complaint.lines().next().map(|line| format!(": {line}")).unwrap_or_default();
        told.trouble = Some(format!("the trial process {how}{why}"));
    }
}

/// Hears the trial until it has nothing more to say; whether it took too long.
fn listen(
    heard: &Receiver<Said>,
    to: &mut impl Write,
    folder: Option<&JobFolder>,
    told: &mut Told,
) -> bool {
    let read = |address| match folder {
        Some(folder) => ledger::read(folder.path(), address),
        None => Err("no process records without the folder".to_owned()),
    };
    let mut held = None;
    loop {
        match heard.recv_timeout(PATIENCE) {
            Ok(Said::Untraced) => {
                told.trouble = Some("the library is not in the trial process".to_owned());
            }
            Ok(Said::Driver { path, version }) => told.driver = Some(Ok(Found { path, version })),
            Ok(Said::NoDriver(sentence)) => told.driver = Some(Err(sentence)),
            Ok(Said::Names(names)) => told.names = Some(names),
            Ok(Said::Refused { call, status }) => {
                told.answer = Some(Answer::Refused { call, status });
            }
            Ok(Said::Holds { address, bytes }) => {
                held = Some((bytes, read(address)));
                let _ = to.write_all(b"\n");
            }
            Ok(Said::GaveBack { address }) => {
                let after = read(address);
                told.answer = held.take().map(|(bytes, before)| answer(bytes, before, after));
                let _ = to.write_all(b"\n");
            }
            Err(RecvTimeoutError::Timeout) => return true,
            Err(RecvTimeoutError::Disconnected) => return false,
        }
    }
}

/// What the ledger's two readings, while `bytes` were held and after, say.
fn answer(bytes: u64, before: Result<Reading, String>, after: Result<Reading, String>) -> Answer {
    let (before, after) = match (before, after) {
        (Ok(before), Ok(after)) => (before, after),
        (Err(why), _) | (_, Err(why)) => return Answer::NotRecorded(why),
    };
    if before.held != Some(bytes) {
        let has = before.held.map_or("none".to_owned(), |held| format!("{held} bytes"));
        return Answer::NotRecorded(format!("{bytes} bytes were taken, and the ledger has {has}"));
    }
    if after.held.is_some() {
        return Answer::NotRecorded(
            "memory was given back, and the ledger still has it".to_owned(),
        );
    }
    Answer::ReadBack { bytes, profile: after.profile, by_name: after.by_name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_ledger_with_both_ends_is_right() {
        let reading = |held| Ok(Reading { held, profile: "full".into(), by_name: 0 });
        assert!(matches!(
            answer(4, reading(Some(4)), reading(None)),
            Answer::ReadBack { bytes: 4, .. }
        ));
        for (before, after) in [(None, None), (Some(5), None), (Some(4), Some(4))] {
            let answer = answer(4, reading(before), reading(after));
            assert!(matches!(answer, Answer::NotRecorded(_)), "{answer:?}");
        }
        let none = answer(4, Err("no ring".into()), reading(None));
        assert_eq!(none, Answer::NotRecorded("no ring".into()));
    }
}
