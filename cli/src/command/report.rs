//! `memtrace report`: what is wrong and who holds what.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use collector::{
    present::{
        build::{Detail, build},
        report, text,
    },
    process::Job,
    source, store,
};

use crate::{failure::Failure, output};

/// Say what is wrong and who holds what: in a trace folder, in a process, or in all of yours
#[derive(Debug, Args)]
pub struct Report {
    /// A folder that `memtrace run` left; without one, all your processes, live and dead
    folder: Option<PathBuf>,
    /// Only this process
    #[arg(short, long, conflicts_with = "folder")]
    pid: Option<u32>,
    /// As JSON, a stable contract: docs/report-json.md
    #[arg(long)]
    json: bool,
    /// With every segment and block
    #[arg(long)]
    segments: bool,
    /// With the N lines of each process that grew most since the end of its warm-up
    #[arg(long, value_name = "N")]
    growth: Option<usize>,
}

impl Report {
    pub fn run(self) -> Result<ExitCode, Failure> {
        let job = match &self.folder {
            Some(folder) => traced(folder, self.growth)?,
            None => present(self.pid, self.growth)?,
        };
        let detail = Detail { segments: self.segments, names: self.json };
        let report = build(&job, detail);
        if self.json {
            output::print(&(json(&report)? + "\n"))?;
        } else {
            output::print(&text::render(&report))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn json(report: &report::Report) -> Result<String, Failure> {
    serde_json::to_string_pretty(report).map_err(|error| {
        Failure::new(format!("the report is no JSON: {error}"), "please report this")
    })
}

/// The processes of the user as their rings tell of them; with `growth` of so many sites of each.
pub(super) fn present(pid: Option<u32>, growth: Option<usize>) -> Result<Job, Failure> {
    let folder = source::user_folder();
    let path = folder.display();
    let hint = "MEMTRACE_DIR names the folder that the traced processes write to";
    let job = match growth {
        Some(most) => source::job_with_growth(&folder, pid, most),
        None => source::job(&folder, pid),
    };
    let job = match (job, source::refusal(&folder)) {
        (Ok(mut job), Some(refusal)) if !job.processes.is_empty() => {
            job.notes.push(format!("{path} {refusal}"));
            job
        }
        (_, Some(refusal)) => {
            let hint = format!("{hint}: one of your own, with mode 700, and with an absolute path");
            return Err(Failure::new(format!("{path} {refusal}"), hint));
        }
        (Ok(job), None) => job,
        (Err(error), None) => {
            return Err(Failure::new(format!("{path} cannot be listed: {error}"), hint));
        }
    };
    match pid {
        Some(pid) if !job.processes.iter().any(|process| process.is(pid)) => Err(Failure::new(
            format!("process {pid} left no ledger in {path}"),
            "it is traced if it was started with LD_PRELOAD=$(memtrace lib) and has used CUDA",
        )),
        _ => Ok(job),
    }
}

/// The job a trace folder tells of; with `growth` of so many sites of each process.
pub(super) fn traced(folder: &Path, growth: Option<usize>) -> Result<Job, Failure> {
    let job = match growth {
        Some(most) => store::job_with_growth(folder, most),
        None => store::job(folder),
    };
    job.map_err(|error| {
        Failure::new(
            format!("{} {error}", folder.display()),
            "memtrace run leaves such a folder; without one, report looks at your processes",
        )
    })
}
