//! What a gate says: one structure that the text, the JSON, JUnit's XML and the annotations all show.
//!
//! Its JSON is a contract (`docs/check.md`): fields are added at the end of a structure, and none
//! changes its meaning.

use serde::{Deserialize, Serialize};

use super::measure::{GpuPeak, ProcessCourse};
use crate::present::report::Finding;

/// Number of the contract.
pub const SCHEMA_VERSION: u32 = 1;

/// What came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// No rule failed.
    Pass,
    /// A rule failed.
    Fail,
    /// None failed, and not everything could be judged.
    Undecided,
}

/// All of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// What came out of all rules.
    pub verdict: Verdict,
    /// What was driven; null for a run that was only looked at.
    pub scenario: Option<Scenario>,
    /// The rules in their order.
    pub rules: Vec<Ruling>,
    /// What failed, rule by rule.
    pub failures: Vec<Failure>,
    /// What would have failed, were suspects enough.
    pub suspects: Vec<Failure>,
    /// What could not be judged, and why.
    pub undecided: Vec<String>,
    /// What each process held on each device.
    pub processes: Vec<ProcessCourse>,
    /// What was in use on each GPU.
    pub gpus: Vec<GpuPeak>,
    /// Sentences about the outcome itself.
    pub notes: Vec<String>,
}

/// What was driven.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// Requests that were answered, those of the warm-up among them.
    pub requests: u64,
    /// Waves they went in.
    pub waves: u64,
    /// Those of them that were warm-up.
    pub warm_up_waves: u64,
    /// How long it took.
    pub time_ns: u64,
}

/// What came out of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ruling {
    /// The rule as it was written.
    pub rule: String,
    /// What came out of it.
    pub verdict: Verdict,
    /// The number nearest to its limit, or what could not be judged.
    pub text: String,
}

/// Something that a rule fails on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// The rule as it was written.
    pub rule: String,
    /// What is wrong, for a person.
    pub text: String,
    /// What to do about it.
    pub advice: String,
    /// Processes it holds for.
    pub pids: Vec<u32>,
    /// The innermost line of the user's code, where there is one.
    pub file: Option<String>,
    /// Its number.
    pub line: Option<u32>,
    /// The finding of the report, where the rule is about one.
    pub finding: Option<Finding>,
}
