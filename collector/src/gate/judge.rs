//! Rules held against a run.

use wire::header::Mode;

use super::{
    blame, limits, measure,
    outcome::{Failure, Outcome, Ruling, SCHEMA_VERSION, Scenario, Verdict},
    rules::{Rule, Rules, Test},
    waves::{LEAST_WAVES, Waves},
};
use crate::{
    present::{
        report::{Confidence, Finding, Report},
        text::{bytes, name},
    },
    process::Job,
};

/// A run and what is known of it.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// The processes.
    pub job: &'a Job,
    /// The report about them.
    pub report: &'a Report,
    /// Processes that are judged; empty for all.
    pub pids: &'a [u32],
    /// Whether the timelines were followed: then losses leave something unjudged. Rings alone hold the
    /// newest events and no more.
    pub followed: bool,
    /// What was driven, and its waves.
    pub driven: Option<(&'a Scenario, &'a Waves)>,
}

impl Case<'_> {
    fn judges(&self, pid: u32) -> bool {
        self.pids.is_empty() || self.pids.contains(&pid)
    }

    fn waves(&self) -> Option<&Waves> {
        self.driven.map(|(_, waves)| waves)
    }
}

/// What a rule says of one thing that it is about.
pub(super) enum Word {
    /// It fails.
    Fails(Box<Failure>),
    /// It would fail, were suspects enough.
    Suspect(Box<Failure>),
    /// It cannot be told.
    Unknown(String),
}

/// Judges. `undecided` is what is known already not to be judged; suspects fail only if `strict`.
#[must_use]
pub fn judge(case: &Case<'_>, rules: &Rules, strict: bool, undecided: Vec<String>) -> Outcome {
    let mut processes = measure::processes(case.job, case.report, case.waves());
    processes.retain(|process| case.judges(process.pid));
    let gpus = measure::gpus(case.job, case.report, case.waves());
    let mut outcome = Outcome {
        schema_version: SCHEMA_VERSION,
        verdict: Verdict::Pass,
        scenario: case.driven.map(|(scenario, _)| scenario.clone()),
        rules: Vec::new(),
        failures: Vec::new(),
        suspects: Vec::new(),
        undecided,
        processes,
        gpus,
        notes: case.report.notes.clone(),
    };
    outcome.undecided.extend(unjudged(case));
    for rule in rules.iter() {
        hold(case, rule, strict, &mut outcome);
    }
    outcome.verdict = match (outcome.failures.as_slice(), outcome.undecided.as_slice()) {
        ([], []) => Verdict::Pass,
        ([], _) => Verdict::Undecided,
        _ => Verdict::Fail,
    };
    outcome
}

/// Holds one rule against the run.
fn hold(case: &Case<'_>, rule: &Rule, strict: bool, outcome: &mut Outcome) {
    let (words, text) = match &rule.test {
        Test::Finding { verdict, over } => findings(case, rule, verdict.as_deref(), *over),
        Test::Peak { over } => limits::peak(rule, *over, case.report, &outcome.gpus),
        Test::Growth { over, requests } => {
            limits::growth(rule, (*over, *requests), case.waves(), &outcome.processes)
        }
        Test::Frag { over } => limits::frag(rule, *over, &outcome.processes),
        Test::Trend { over } => limits::trend(rule, *over, case.waves(), &outcome.processes),
    };
    let mut verdict = Verdict::Pass;
    for word in words {
        match word {
            Word::Fails(failure) => outcome.failures.push(*failure),
            Word::Suspect(failure) if strict => outcome.failures.push(*failure),
            Word::Suspect(failure) => {
                outcome.suspects.push(*failure);
                continue;
            }
            Word::Unknown(sentence) => {
                outcome.undecided.push(format!("{}: {sentence}", rule.text));
                verdict = if verdict == Verdict::Pass { Verdict::Undecided } else { verdict };
                continue;
            }
        }
        verdict = Verdict::Fail;
    }
    outcome.rules.push(Ruling { rule: rule.text.clone(), verdict, text });
}

/// What nothing can be said of, whatever the rules.
fn unjudged(case: &Case<'_>) -> Vec<String> {
    let mut sentences = Vec::new();
    let judged =
        case.report.processes.iter().filter(|p| p.instance.is_some() && case.judges(p.pid));
    let mut any = false;
    for process in judged {
        any = true;
        let who =
            format!("{} (pid {})", name(process.role.as_deref(), &process.command), process.pid);
        let known =
            case.job.processes.iter().find(|known| {
                process.instance.as_ref() == Some(&known.identity.instance.to_string())
            });
        if known.is_some_and(|known| Mode::of(known.health.mode) == Some(Mode::Off)) {
            let why = process.warnings.first().map_or("not recorded", String::as_str);
            sentences.push(format!("{who} was {why}"));
            continue;
        }
        let lost = process.events.dropped.saturating_add(process.events.overwritten);
        let unstored = known.is_some_and(|known| known.losses.blocks_unstored_since.is_some());
        if case.followed && (lost > 0 || unstored) {
            let what = if unstored {
                "block events were not stored".to_owned()
            } else {
                format!("{lost} events were lost")
            };
            sentences.push(format!("of {who} {what}: what is wrong in it may not have been seen"));
        }
    }
    if !any {
        sentences.push("no process that used CUDA under memtrace is there to be judged".to_owned());
    }
    sentences
}

fn findings(case: &Case<'_>, rule: &Rule, verdict: Option<&str>, over: u64) -> (Vec<Word>, String) {
    let is_about = |finding: &&Finding| {
        verdict.is_none_or(|verdict| finding.verdict == verdict)
            && finding.confidence != Confidence::Info
            && (finding.instances.is_empty()
                || finding.instances.iter().any(|instance| case.judges(instance.pid)))
    };
    let waves = case.waves().map_or(LEAST_WAVES, |waves| waves.0.len());
    if waves < LEAST_WAVES && verdict.is_none_or(|verdict| verdict == "leak") {
        let why = format!("of {LEAST_WAVES} waves that tell a leak {waves} went well");
        return (vec![Word::Unknown(why)], "not judged".to_owned());
    }
    let about: Vec<&Finding> = case.report.findings.iter().filter(is_about).collect();
    let most = about.iter().map(|finding| finding.bytes).max();
    let words =
        about.into_iter().filter(|finding| over == 0 || finding.bytes > over).map(|finding| {
            let failure = Box::new(failure(rule, finding, case.report));
            match finding.confidence {
                Confidence::Alert => Word::Fails(failure),
                _ => Word::Suspect(failure),
            }
        });
    let text =
        most.map_or_else(|| "nothing found".to_owned(), |most| format!("at most {}", bytes(most)));
    (words.collect(), text)
}

fn failure(rule: &Rule, finding: &Finding, report: &Report) -> Failure {
    let line = blame::reported(report, &finding.site);
    Failure {
        rule: rule.text.clone(),
        text: finding.text.clone(),
        advice: finding.advice.clone(),
        pids: finding.instances.iter().map(|instance| instance.pid).collect(),
        file: line.as_ref().map(|line| line.file.clone()),
        line: line.and_then(|line| line.line),
        finding: Some(finding.clone()),
    }
}
