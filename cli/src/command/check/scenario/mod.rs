//! Driving a server: waves of requests, with a rest after each, while its processes are followed.

mod drive;
mod picture;
mod random;
mod request;
mod server;

use clap::{Args, ValueEnum};
use collector::{
    gate::waves::{LEAST_WAVES, plan},
    session::Witness,
    source::{refusal, user_folder},
};

use crate::failure::Failure;

pub(super) use drive::Driven;
use drive::drive;
use server::Server;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Scenario {
    /// Text, as a string.
    Text,
    /// Text, as the parts of a message that may hold images; for a vision model.
    VlmText,
    /// Text and an image, whose size changes.
    VlmImages,
}

impl Scenario {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::VlmText => "vlm-text",
            Self::VlmImages => "vlm-images",
        }
    }

    /// The preset that fits it.
    pub const fn preset(self) -> &'static str {
        match self {
            Self::Text | Self::VlmText => "text",
            Self::VlmImages => "images",
        }
    }
}

/// Driving a server instead of looking at a run.
#[derive(Debug, Args)]
pub(super) struct Driving {
    /// Drive a server that speaks OpenAI's chat completions, and judge it
    #[arg(long, requires = "url", conflicts_with = "folder")]
    pub scenario: Option<Scenario>,
    /// The server: http://127.0.0.1:30000/v1
    #[arg(long, requires = "scenario")]
    url: Option<String>,
    /// Requests in all, in waves of which the first three are the warm-up
    #[arg(long, requires = "scenario", default_value_t = 100)]
    requests: u64,
}

impl Driving {
    /// Drives the server through `scenario`.
    pub fn run(&self, scenario: Scenario, pids: &[u32]) -> Result<Driven, Failure> {
        let Some(sizes) = plan(self.requests) else {
            return Err(Failure::new(
                format!("{} requests are too few to judge by", self.requests),
                format!("--requests {LEAST_WAVES} is the least: a leak is told by as many waves"),
            ));
        };
        let server = Server::new(self.url.as_deref().unwrap_or_default())?;
        Ok(drive(scenario, &server, &sizes, witness(pids)?, pids))
    }
}

/// Follows the processes there are.
fn witness(pids: &[u32]) -> Result<Witness, Failure> {
    let folder = user_folder();
    let path = folder.display();
    let hint = "start the server with LD_PRELOAD=$(memtrace lib), or under memtrace run; \
                MEMTRACE_DIR must be the same there and here";
    if let Some(refusal) = refusal(&folder) {
        return Err(Failure::new(format!("{path} {refusal}"), hint));
    }
    let witness = Witness::begin(&folder, pids)
        .map_err(|error| Failure::new(format!("{path} cannot be listed: {error}"), hint))?;
    if witness.pids().is_empty() {
        let which = if pids.is_empty() { "no process" } else { "none of those processes" };
        let sentence = format!("{which} that used CUDA under memtrace runs, by what is in {path}");
        return Err(Failure::new(sentence, hint));
    }
    Ok(witness)
}
