//! `memtrace run`: start a job and watch it.

use std::{
    ffi::OsString,
    io::{IsTerminal, stderr},
    path::{Path, PathBuf},
    process::ExitCode,
    time::SystemTime,
};

use clap::Args;
use collector::{
    present::{
        build::{Detail, build},
        text::{bytes, head, stamp},
    },
    session::{self, Options, Outcome, Progress},
    store,
};

use super::lib;
use crate::{
    failure::Failure,
    output::{self, note},
};

/// Start a job, watch its processes, and report at its end
#[derive(Debug, Args)]
pub struct Run {
    /// Folder to leave the trace in [default: ./memtrace-TIME-PID]
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// The job
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "CMD"
    )]
    command: Vec<OsString>,
}

impl Run {
    pub fn run(self) -> Result<ExitCode, Failure> {
        let outcome = watch(self.command, self.output)?;
        if let Some(folder) = outcome.folder {
            report(&folder);
        }
        Ok(ExitCode::from(outcome.status))
    }
}

/// Runs `command` to its end and says what stood in the way of tracing it.
pub fn watch(command: Vec<OsString>, output: Option<PathBuf>) -> Result<Outcome, Failure> {
    let options = Options {
        command,
        folder_is_chosen: output.is_some(),
        folder: output.unwrap_or_else(folder),
        library: lib::path()?,
    };
    let outcome = session::run(&options, progress()).map_err(|error| {
        Failure::new(
            format!("no trace can be left in {}: {error}", options.folder.display()),
            "-o names a folder that does not exist yet, or is empty",
        )
    })?;
    output::end_progress();
    for sentence in outcome.notes.iter().chain(&outcome.not_started) {
        note(&format!("memtrace: {sentence}\n"));
    }
    Ok(outcome)
}

/// `./memtrace-TIME-PID`
fn folder() -> PathBuf {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = now.map_or(0, |now| now.as_nanos() as u64);
    format!("memtrace-{}-{}", stamp(now), std::process::id()).into()
}

/// Shows on a terminal how far the job is.
fn progress() -> impl FnMut(Progress) + Send + 'static {
    let terminal = stderr().is_terminal();
    move |progress| {
        if terminal {
            output::progress(&line(progress));
        }
    }
}

fn line(progress: Progress) -> String {
    let Progress { processes, reserved, allocated, events, dropped } = progress;
    let noun = if processes == 1 { "process" } else { "processes" };
    format!(
        "memtrace: {processes} {noun}, {} reserved, {} allocated, {events} events, {dropped} dropped",
        bytes(reserved),
        bytes(allocated),
    )
}

/// The first lines of the report, and where the rest is. The job's end is no time to fail.
fn report(folder: &Path) {
    match store::job(folder) {
        Ok(job) => note(&head(&build(&job, Detail::default()))),
        Err(error) => note(&format!("memtrace: {} {error}\n", folder.display())),
    }
    note(&format!("memtrace: memtrace report {} tells everything\n", folder.display()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_progress_line_fits_a_narrow_terminal() {
        let progress = Progress {
            processes: 10,
            reserved: 700 << 30,
            allocated: 600 << 30,
            events: 1_234_567,
            dropped: 0,
        };
        assert_eq!(
            line(progress),
            "memtrace: 10 processes, 700.0 GiB reserved, 600.0 GiB allocated, 1234567 events, \
             0 dropped"
        );
    }
}
