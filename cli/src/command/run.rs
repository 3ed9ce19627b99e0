//! `memtrace run`: start a job and watch it.

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use clap::Args;

use crate::failure::Failure;

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
        Ok(ExitCode::SUCCESS)
    }
}
