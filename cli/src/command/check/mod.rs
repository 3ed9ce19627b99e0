//! `memtrace check`: a gate for CI.

mod output;
mod scenario;

use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use collector::{
    gate::{
        judge::{Case, judge},
        presets::{PRESETS, Preset},
        rules::Rules,
    },
    present::build::{Detail, build},
};

use super::report::{present, traced};
use crate::failure::Failure;

use output::Shown;
use scenario::{Driven, Driving, Scenario};

/// Rules of a run that was only looked at.
const DEFAULT: &str = "any";

/// Hold a run against rules, for CI: exit status 1 if one fails, 2 if not everything could be judged
#[derive(Debug, Args)]
pub struct Check {
    /// A folder that `memtrace run` left; without one, all your processes, live and dead
    folder: Option<PathBuf>,
    #[command(flatten)]
    driving: Driving,
    /// Only this process; may be given again
    #[arg(short, long)]
    pid: Vec<u32>,
    /// What to fail on: docs/check.md [default: any; of a scenario, the preset that fits it]
    #[arg(long, value_name = "RULES")]
    fail_on: Vec<Rules>,
    /// Rules by a name: text, images, tp2, tp4, audio, sustained, trend
    #[arg(long, value_name = "NAME", value_parser = preset)]
    preset: Vec<Rules>,
    /// Fail on suspects, too
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    shown: Shown,
}

impl Check {
    pub fn run(self) -> Result<ExitCode, Failure> {
        let rules = self.rules()?;
        match self.driving.scenario {
            Some(scenario) => self.drive(scenario, &rules),
            None => self.look(&rules),
        }
    }

    fn rules(&self) -> Result<Rules, Failure> {
        let given = self.fail_on.iter().chain(&self.preset).cloned();
        let joined = given.reduce(|mut rules, more| {
            rules.join(more);
            rules
        });
        if let Some(rules) = joined {
            return Ok(rules);
        }
        let rules = match self.driving.scenario {
            Some(scenario) => preset(scenario.preset()),
            None => DEFAULT.parse().map_err(|error| format!("{error}")),
        };
        rules.map_err(|error| Failure::new(error, "please report this"))
    }

    /// Judges a run that is over, or as far as it is.
    fn look(&self, rules: &Rules) -> Result<ExitCode, Failure> {
        if let Some(rule) = rules.iter().find(|rule| rule.test.counts_requests()) {
            return Err(Failure::new(
                format!("{} counts requests, of which only a --scenario knows", rule.text),
                "growth:>100MB is a limit over the whole run",
            ));
        }
        let job = match &self.folder {
            Some(folder) => traced(folder, None)?,
            None => present(None, None)?,
        };
        let report = build(&job, Detail::default());
        let followed = self.folder.is_some();
        let case = Case { job: &job, report: &report, pids: &self.pid, followed, driven: None };
        self.shown.show(&judge(&case, rules, self.strict, Vec::new()))
    }

    /// Drives a server and judges its processes.
    fn drive(&self, scenario: Scenario, rules: &Rules) -> Result<ExitCode, Failure> {
        let driven = self.driving.run(scenario, &self.pid)?;
        let Driven { job, waves, scenario, undecided } = driven;
        let report = build(&job, Detail::default());
        let driven = Some((&scenario, &waves));
        let case = Case { job: &job, report: &report, pids: &self.pid, followed: true, driven };
        self.shown.show(&judge(&case, rules, self.strict, undecided))
    }
}

fn preset(name: &str) -> Result<Rules, String> {
    let known = Preset::named(name).and_then(Preset::parsed);
    known.ok_or_else(|| {
        let names: Vec<&str> = PRESETS.iter().map(|preset| preset.name).collect();
        format!("there is no such preset: {} are the ones", names.join(", "))
    })
}
