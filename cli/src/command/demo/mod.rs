//! `memtrace demo`: a small job of several processes, and the report about it.

use std::{fs, path::PathBuf, process::ExitCode};

use clap::Args;
use collector::{
    present::{
        build::{Detail, build},
        text,
    },
    store,
};

use super::run::watch;
use crate::{failure::Failure, output};

/// The job: a tokenizer, a scheduler and a detokenizer, shaped like a vision-language server.
const JOB: &str = include_str!("job.py");

/// Run a job shaped like a vision-language server, and report about it
#[derive(Debug, Args)]
pub struct Demo {
    /// Folder to leave the trace in [default: ./memtrace-TIME-PID]
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// A Python that has torch, torchvision and transformers, and sees a GPU
    #[arg(long, default_value = "python3")]
    python: PathBuf,
}

impl Demo {
    pub fn run(self) -> Result<ExitCode, Failure> {
        let job = Job::write()?;
        let outcome = watch(vec![self.python.into(), job.path.clone().into()], self.output)?;
        if let Some(folder) = outcome.folder {
            let job = store::job(&folder).map_err(|error| {
                Failure::new(format!("{} {error}", folder.display()), "please report this")
            })?;
            output::print(&text::render(&build(&job, Detail::default())))?;
        }
        Ok(ExitCode::from(outcome.status))
    }
}

/// The job's program in a file, for as long as it is needed. A fixed name in a folder of its own,
/// so that its lines read the same in every report.
struct Job {
    folder: PathBuf,
    path: PathBuf,
}

impl Job {
    fn write() -> Result<Self, Failure> {
        let folder = std::env::temp_dir().join(format!("memtrace-demo-{}", std::process::id()));
        let path = folder.join("job.py");
        fs::create_dir(&folder).and_then(|()| fs::write(&path, JOB)).map_err(|error| {
            Failure::new(
                format!("the demo's program cannot be written to {}: {error}", folder.display()),
                "TMPDIR names the folder for such files",
            )
        })?;
        Ok(Self { folder, path })
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        // What is left would be a few kilobytes in the temporary folder.
        let _ = fs::remove_dir_all(&self.folder);
    }
}
