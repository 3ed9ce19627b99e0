//! Will tracing work here, and if not, why not.
//!
//! Each file looks at one thing and gives a [`Check`]: what was found, and where that is not well,
//! what to do. The user's program is never run. What only a process with the library preloaded can
//! tell is told by a [`trial`]: the command itself, started once more.

mod driver;
mod elf;
mod environment;
mod library;
mod loader;
mod names;
mod place;
mod preloads;
mod program;
mod target;
pub mod text;
pub mod trial;

use std::{ffi::OsString, path::PathBuf};

use serde::Serialize;

use crate::source::user_folder;

/// Version of what [`Examination`] looks like as JSON.
pub const SCHEMA_VERSION: u32 = 1;

/// What to look at.
#[derive(Debug)]
pub struct Question {
    /// The program that shall be traced and its arguments; empty for whatever comes.
    pub command: Vec<OsString>,
    /// `libmemtrace.so`.
    pub library: PathBuf,
    /// This command, which is started again for the trial, and the argument that tells it so.
    pub trial: (PathBuf, &'static str),
}

/// How well something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mark {
    /// As it should be.
    Ok,
    /// Tracing works, but not as it might.
    Warning,
    /// Tracing does not work.
    Fails,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What: one word.
    pub check: &'static str,
    /// How well it is.
    pub mark: Mark,
    /// What was found.
    pub says: String,
    /// What to do, where it is not well.
    pub advice: Option<String>,
}

impl Check {
    fn ok(check: &'static str, says: impl Into<String>) -> Self {
        Self { check, mark: Mark::Ok, says: says.into(), advice: None }
    }

    fn warning(check: &'static str, says: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { check, mark: Mark::Warning, says: says.into(), advice: Some(advice.into()) }
    }

    fn fails(check: &'static str, says: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { check, mark: Mark::Fails, says: says.into(), advice: Some(advice.into()) }
    }
}

/// All that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Examination {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Whether no check fails.
    pub works: bool,
    /// The checks, in the order in which a process meets what they are about.
    pub checks: Vec<Check>,
    /// What became of each hooked name; `None` where there is no driver to ask.
    pub names: Option<names::Names>,
}

/// Looks at everything.
#[must_use]
pub fn examine(question: &Question) -> Examination {
    let base = user_folder();
    let mut checks = Vec::new();
    checks.extend(environment::checks(&question.library));
    let library = library::check(&question.library);
    let is_loadable = library.mark != Mark::Fails;
    checks.push(library);
    let subject = program::subject(&question.command);
    checks.extend(program::check(&question.command, &subject, &question.library));
    checks.extend(preloads::checks(&question.library, &subject));
    let place = place::Place::look(&base);
    checks.extend(place.checks());
    checks.push(driver::nvml());
    let told =
        if is_loadable { trial::run(question, place.folder()) } else { trial::Told::default() };
    checks.extend(driver::checks(&told));
    checks.extend(told.names.iter().flat_map(names::checks));
    checks.extend(driver::trial(&told));
    let works = checks.iter().all(|check| check.mark != Mark::Fails);
    Examination { schema_version: SCHEMA_VERSION, works, checks, names: told.names }
}
