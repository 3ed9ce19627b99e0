//! How the gate's outcome is given out.

use std::{env, fs, path::PathBuf, process::ExitCode};

use clap::Args;
use collector::gate::{
    github, junit,
    outcome::{Outcome, Verdict},
    text,
};

use crate::{
    failure::{Failure, STATUS},
    output,
};

/// Forms of the outcome; text where none prints another.
#[derive(Debug, Args)]
pub(super) struct Shown {
    /// As JSON: docs/check.md
    #[arg(long, conflicts_with = "github")]
    json: bool,
    /// As JUnit's XML into this file, too
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// As annotations of GitHub's workflows, after the text
    #[arg(long)]
    github: bool,
}

impl Shown {
    /// Gives it out. The status is the gate's: 1 if a rule failed, 2 if not everything was judged.
    pub fn show(&self, outcome: &Outcome) -> Result<ExitCode, Failure> {
        if let Some(file) = &self.junit {
            fs::write(file, junit::render(outcome)).map_err(|error| {
                Failure::new(
                    format!("{} cannot be written: {error}", file.display()),
                    "--junit names a file in a folder that exists",
                )
            })?;
        }
        if self.json {
            output::print(&(json(outcome)? + "\n"))?;
        } else {
            output::print(&text::render(outcome))?;
        }
        if self.github {
            output::print(&github::annotations(outcome, &root()))?;
        }
        Ok(match outcome.verdict {
            Verdict::Pass => ExitCode::SUCCESS,
            Verdict::Fail => ExitCode::from(1),
            Verdict::Undecided => ExitCode::from(STATUS),
        })
    }
}

fn json(outcome: &Outcome) -> Result<String, Failure> {
    serde_json::to_string_pretty(outcome).map_err(|error| {
        Failure::new(format!("the outcome is no JSON: {error}"), "please report this")
    })
}

/// Where GitHub sees the repository; elsewhere where we are.
fn root() -> String {
    let here = || Some(env::current_dir().ok()?.display().to_string());
    env::var("GITHUB_WORKSPACE").ok().or_else(here).unwrap_or_default()
}
