//! `memtrace mark`: name a moment or a phase of a process from outside.

use std::process::ExitCode;

use clap::Args;
use collector::{
    outside::{self, Kind, Marked, NotMarked},
    present::text,
    source,
};

use crate::{failure::Failure, output};

/// Mark this moment in running processes: nothing is sent to them, the report tells of it
#[derive(Debug, Args)]
pub struct Mark {
    /// In this process
    #[arg(short, long, required_unless_present = "all", conflicts_with = "all")]
    pid: Option<u32>,
    /// In all your traced processes
    #[arg(long)]
    all: bool,
    /// Instead, a phase of that name begins
    #[arg(long, conflicts_with = "end")]
    begin: bool,
    /// Instead, the phase of that name that was begun so ends
    #[arg(long)]
    end: bool,
    /// What to call it: 120 bytes are kept
    name: String,
}

impl Mark {
    pub fn run(self) -> Result<ExitCode, Failure> {
        if self.name.trim().is_empty() {
            return Err(Failure::new(
                "a mark needs a name",
                "memtrace mark --all \"weights loaded\"",
            ));
        }
        let kind = match (self.begin, self.end) {
            (true, _) => Kind::Begin,
            (_, true) => Kind::End,
            _ => Kind::Point,
        };
        let folder = source::user_folder();
        if let Some(refusal) = source::refusal(&folder) {
            return Err(Failure::new(format!("{} {refusal}", folder.display()), HINT));
        }
        let (marked, dropped) =
            outside::mark(&folder, self.pid, kind, &self.name).map_err(|error| {
                let text = match &error {
                    NotMarked::Unknown(_) | NotMarked::Nobody => {
                        format!("{error} in {}", folder.display())
                    }
                    _ => error.to_string(),
                };
                Failure::new(text, HINT)
            })?;
        if dropped {
            output::note("memtrace: the oldest marks were dropped: 1 MiB of them is kept\n");
        }
        let name = |one: &Marked| {
            format!("{} (pid {})", text::name(one.role.as_deref(), &one.command), one.pid)
        };
        let names = marked.iter().map(name);
        output::print(&format!("marked {}\n", names.collect::<Vec<_>>().join(", ")))?;
        Ok(ExitCode::SUCCESS)
    }
}

const HINT: &str = "memtrace report names the processes that can be marked; MEMTRACE_DIR names the \
                    folder that they write to";
