//! The subcommands, a file each.

mod check;
mod demo;
mod diff;
mod doctor;
mod lib;
mod mark;
mod report;
mod run;

use std::process::ExitCode;

use clap::Subcommand;

use crate::failure::Failure;

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    Run(run::Run),
    Report(report::Report),
    Check(check::Check),
    Diff(diff::Diff),
    Mark(mark::Mark),
    Lib(lib::Lib),
    Doctor(doctor::Doctor),
    Demo(demo::Demo),
    #[command(name = doctor::TRIAL, hide = true)]
    Trial(doctor::Trial),
}

impl Command {
    /// Does it. The exit status is what it says, or the failure's.
    pub fn run(self) -> Result<ExitCode, Failure> {
        match self {
            Self::Run(run) => run.run(),
            Self::Report(report) => report.run(),
            Self::Check(check) => check.run(),
            Self::Diff(diff) => diff.run(),
            Self::Mark(mark) => mark.run(),
            Self::Lib(lib) => lib.run(),
            Self::Doctor(doctor) => doctor.run(),
            Self::Demo(demo) => demo.run(),
            Self::Trial(trial) => trial.run(),
        }
    }
}
