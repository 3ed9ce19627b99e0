//! `memtrace report`: what is wrong and who holds what.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;

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
}

impl Report {
    pub fn run(self) -> Result<ExitCode, Failure> {
        output::print("")?;
        Ok(ExitCode::SUCCESS)
    }
}
