//! `memtrace diff`: what differs between two moments of a run, or between two runs.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use collector::{
    phase::Span,
    present::{
        build::{Detail, born, build},
        diff::{self, Side, Survivors},
        report::Report,
        text,
    },
    process::{Job, Moment, Stops},
    store::{self, NoMoment},
};

use crate::{failure::Failure, output};

/// Say what is new, gone and grown between two moments of a run, or between two runs
#[derive(Debug, Args)]
pub struct Diff {
    /// A trace folder, with a moment if not its end (DIR@10m, DIR@step:40, DIR@mark:NAME,
    /// DIR@phase:NAME); or a report that was saved as JSON
    #[arg(value_name = "A")]
    a: String,
    /// What to compare it with, in the same way; @MOMENT alone means another moment of A
    #[arg(value_name = "B")]
    b: String,
    /// As JSON: docs/diff.md
    #[arg(long)]
    json: bool,
}

impl Diff {
    pub fn run(self) -> Result<ExitCode, Failure> {
        let a = Operand::parse(&self.a, None)?;
        let b = Operand::parse(&self.b, Some(&a.path))?;
        let (a, b) = (Known::read(a)?, Known::read(b)?);
        let survivors = survivors(&a, &b);
        let diff = diff::diff((a.side, &a.report), (b.side, &b.report), survivors);
        if self.json {
            let json = serde_json::to_string_pretty(&diff).map_err(|error| {
                Failure::new(format!("the comparison is no JSON: {error}"), "please report this")
            })?;
            output::print(&(json + "\n"))?;
        } else {
            output::print(&text::render_diff(&diff))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// A path and which moment of it is meant.
#[derive(Debug)]
struct Operand {
    path: PathBuf,
    moment: Moment,
}

impl Operand {
    /// A path that exists is one, whatever is in its name.
    fn parse(text: &str, other: Option<&Path>) -> Result<Self, Failure> {
        if Path::new(text).exists() {
            return Ok(Self { path: text.into(), moment: Moment::End });
        }
        let unknown = || {
            Failure::new(
                format!("{text} names no trace folder and no moment of one"),
                "DIR, DIR@10m, DIR@step:40, DIR@mark:NAME, DIR@phase:NAME, DIR@end",
            )
        };
        // A mark's name may have any sign in it, so the folder ends where the first one could.
        let places = text.match_indices('@').map(|(at, _)| text.split_at(at));
        for (path, moment) in places {
            let Ok(moment) = moment[1..].parse() else { continue };
            let path = match (path, other) {
                ("", Some(other)) => other.to_owned(),
                _ => PathBuf::from(path),
            };
            if path.exists() {
                return Ok(Self { path, moment });
            }
        }
        Err(unknown())
    }
}

/// One side, read.
struct Known {
    side: Side,
    report: Report,
    /// Of a trace.
    trace: Option<(PathBuf, Job, Stops, Moment)>,
}

impl Known {
    fn read(operand: Operand) -> Result<Self, Failure> {
        let Operand { path, moment } = operand;
        if path.is_file() {
            return saved(&path, &moment);
        }
        let failed = |error: NoMoment| {
            Failure::new(
                format!("{} {error}", path.display()),
                "memtrace report FOLDER names its steps, phases and marks",
            )
        };
        let stops = store::stops(&path, &moment).map_err(failed)?;
        let job = store::job_at(&path, &stops).map_err(|error| failed(error.into()))?;
        let report = build(&job, Detail { segments: false, names: true });
        let side = Side {
            name: path.display().to_string(),
            moment: moment.to_string(),
            as_of_ns: report.as_of_ns,
        };
        Ok(Self { side, report, trace: Some((path, job, stops, moment)) })
    }
}

/// A report that `memtrace report --json` printed.
fn saved(path: &Path, moment: &Moment) -> Result<Known, Failure> {
    let wrong = |what: String| {
        Failure::new(format!("{} {what}", path.display()), "memtrace report --json prints one")
    };
    if *moment != Moment::End {
        return Err(wrong("is a saved report, which is of one moment".to_owned()));
    }
    let text =
        fs::read_to_string(path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    let report: Report = serde_json::from_str(&text)
        .map_err(|error| wrong(format!("is no report of memtrace as JSON: {error}")))?;
    let side = Side {
        name: path.display().to_string(),
        moment: "as it was saved".to_owned(),
        as_of_ns: report.as_of_ns,
    };
    Ok(Known { side, report, trace: None })
}

/// What was taken in the step or phase that ends at A, else between A and B, and is live at B.
fn survivors(a: &Known, b: &Known) -> Option<Survivors> {
    let ((path_a, _, stops_a, moment), (path_b, job, stops_b, _)) =
        (a.trace.as_ref()?, b.trace.as_ref()?);
    if *moment == Moment::End {
        return None;
    }
    if path_a.canonicalize().ok()? != path_b.canonicalize().ok()? {
        return None;
    }
    let (named, born_in) = match moment {
        Moment::Step(number) => (true, format!("step {number}")),
        Moment::Phase(name) => (true, format!("the last {name}")),
        _ => (false, "the time from A to B".to_owned()),
    };
    let sites = born(job, |instance| {
        let Span { from, until } = stops_a.span(instance)?;
        if named {
            return Some(Span { from, until });
        }
        Some(Span { from: until, until: stops_b.until(instance).unwrap_or(u64::MAX) })
    });
    Some(Survivors { born: born_in, sites })
}
