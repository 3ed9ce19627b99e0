//! `memtrace lib`: where the library to preload lies.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use collector::session::preload;

use crate::{failure::Failure, output};

const LIBRARY: &str = "libmemtrace.so";
/// The library opens this one, found beside it.
const RECORDER: &str = "libmemtrace_core.so";

/// Print the path of the library for LD_PRELOAD
#[derive(Debug, Args)]
pub struct Lib {
    /// Print the environment for a job that `memtrace run` does not start: env $(memtrace lib --env) CMD
    #[arg(long)]
    env: bool,
}

impl Lib {
    pub fn run(self) -> Result<ExitCode, Failure> {
        let path = library()?;
        let line = if self.env { preload::environment(&path) } else { path.display().to_string() };
        output::print(&(line + "\n"))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Where the library belongs: beside this program.
pub fn path() -> Result<PathBuf, Failure> {
    Ok(program()?.with_file_name(LIBRARY))
}

/// This program's own file.
pub fn program() -> Result<PathBuf, Failure> {
    let program = std::env::current_exe().and_then(|path| path.canonicalize());
    program.map_err(|error| {
        Failure::new(
            format!("this program's own file cannot be found: {error}"),
            "start memtrace by its full path",
        )
    })
}

/// The library, where it and its recorder are there.
fn library() -> Result<PathBuf, Failure> {
    let library = path()?;
    for file in [library.clone(), library.with_file_name(RECORDER)] {
        if !file.is_file() {
            return Err(Failure::new(
                format!("{} is not there", file.display()),
                "make build puts the program and its two libraries into target/release",
            ));
        }
    }
    Ok(library)
}
