//! `memtrace doctor`: will tracing work here, and if not, why not.

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use clap::Args;
use collector::doctor::{Question, examine, text, trial};

use super::lib;
use crate::{failure::Failure, output};

/// The command as which the trial is started.
pub const TRIAL: &str = "doctor-trial";

/// Say whether tracing works here, and if not, why; exit status 1 if it does not
#[derive(Debug, Args)]
pub struct Doctor {
    /// As JSON: docs/doctor.md
    #[arg(long)]
    json: bool,
    /// The program that shall be traced: its file is looked at, it is not run
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "CMD")]
    command: Vec<OsString>,
}

impl Doctor {
    pub fn run(self) -> Result<ExitCode, Failure> {
        let library = lib::path()?;
        let trial = (lib::program()?, TRIAL);
        let examination = examine(&Question { command: self.command, library, trial });
        if self.json {
            let json = serde_json::to_string_pretty(&examination).map_err(|error| {
                Failure::new(format!("the answer is no JSON: {error}"), "please report this")
            })?;
            output::print(&(json + "\n"))?;
        } else {
            output::print(&text::render(&examination))?;
        }
        Ok(if examination.works { ExitCode::SUCCESS } else { ExitCode::from(1) })
    }
}

/// What `doctor` starts with the library preloaded
#[derive(Debug, Args)]
pub struct Trial {
    /// The library
    library: PathBuf,
}

impl Trial {
    pub fn run(self) -> Result<ExitCode, Failure> {
        trial::inside(&self.library)
            .map(|()| ExitCode::SUCCESS)
            .map_err(|error| Failure::new(format!("nobody listens: {error}"), "memtrace doctor"))
    }
}
