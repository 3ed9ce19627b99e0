//! `memtrace check`: a gate for CI.

mod output;

use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use collector::{
    gate::{
        judge::{Case, judge},
        rules::Rules,
    },
    present::build::{Detail, build},
};

use super::report::{present, traced};
use crate::failure::Failure;

use output::Shown;

/// Rules of a run that was only looked at.
const DEFAULT: &str = "any";

/// Hold a run against rules, for CI: exit status 1 if one fails, 2 if not everything could be judged
#[derive(Debug, Args)]
pub struct Check {
    /// A folder that `memtrace run` left; without one, all your processes, live and dead
    folder: Option<PathBuf>,
    /// Only this process; may be given again
    #[arg(short, long)]
    pid: Vec<u32>,
    /// What to fail on: verdicts, `any` of them, peak, growth, frag; docs/check.md [default: any]
    #[arg(long, value_name = "RULES")]
    fail_on: Vec<Rules>,
    /// Fail on suspects, too
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    shown: Shown,
}

impl Check {
    pub fn run(self) -> Result<ExitCode, Failure> {
        let rules = rules(self.fail_on)?;
        if let Some(rule) = rules.iter().find(|rule| rule.test.counts_requests()) {
            return Err(Failure::new(
                format!("{} counts requests, of which a trace knows nothing", rule.text),
                "growth:>100MB is a limit over the whole run",
            ));
        }
        let job = match &self.folder {
            Some(folder) => traced(folder)?,
            None => present(None)?,
        };
        let report = build(&job, Detail::default());
        let case = Case {
            job: &job,
            report: &report,
            pids: &self.pid,
            followed: self.folder.is_some(),
            driven: None,
        };
        self.shown.show(&judge(&case, &rules, self.strict, Vec::new()))
    }
}

fn rules(given: Vec<Rules>) -> Result<Rules, Failure> {
    let joined = given.into_iter().reduce(|mut rules, more| {
        rules.join(more);
        rules
    });
    match joined {
        Some(rules) => Ok(rules),
        None => DEFAULT.parse().map_err(|error| Failure::new(error, "please report this")),
    }
}
