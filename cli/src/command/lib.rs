//! `memtrace lib`: where the library to preload lies.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;

use crate::{failure::Failure, output};

const LIBRARY: &str = "libmemtrace.so";
/// The library opens this one, found beside it.
const RECORDER: &str = "libmemtrace_core.so";

/// Print the path of the library for LD_PRELOAD
#[derive(Debug, Args)]
pub struct Lib {}

impl Lib {
    pub fn run(self) -> Result<ExitCode, Failure> {
        let path = library()?;
        output::print(&format!("{}\n", path.display()))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The library beside this program, whose recorder is beside it as well.
pub fn library() -> Result<PathBuf, Failure> {
    let program = std::env::current_exe().and_then(|path| path.canonicalize());
    let program = program.map_err(|error| {
        Failure::new(
            format!("this program's own file cannot be found: {error}"),
            "start memtrace by its full path",
        )
    })?;
    let folder = program.parent().unwrap_or(Path::new("/"));
    for name in [LIBRARY, RECORDER] {
        if !folder.join(name).is_file() {
            return Err(Failure::new(
                format!("{name} is not in {}, where this program is", folder.display()),
                "make build puts the program and its two libraries into target/release",
            ));
        }
    }
    Ok(folder.join(LIBRARY))
}
