//! The `memtrace` command.
//!
//! One file per subcommand in [`command`]. Whatever goes wrong is one sentence on standard error, a
//! hint, and exit status 2.
#![forbid(unsafe_code)]

mod command;
mod failure;
mod output;

use std::process::ExitCode;

use clap::{Parser, error::ErrorKind};

use command::Command;
use failure::{Failure, SEE_HELP};

/// Where the GPU memory of a job went, who holds it, and what to do.
#[derive(Debug, Parser)]
#[command(name = "memtrace", version, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    let outcome = match Arguments::try_parse() {
        Ok(arguments) => arguments.command.run(),
        Err(error) => misused(&error),
    };
    outcome.unwrap_or_else(|failure| {
        output::note(&format!("{failure}\n"));
        ExitCode::from(failure::STATUS)
    })
}

fn misused(error: &clap::Error) -> Result<ExitCode, Failure> {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            output::print(&error.to_string())?;
            Ok(ExitCode::SUCCESS)
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            Err(Failure::new("which command?", SEE_HELP))
        }
        _ => {
            let text = error.to_string();
            let lines = text.lines().take_while(|line| !line.is_empty()).map(str::trim);
            let sentence = lines.collect::<Vec<_>>().join(" ");
            Err(Failure::new(sentence.trim_start_matches("error: "), SEE_HELP))
        }
    }
}
