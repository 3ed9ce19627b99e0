//! A job as its trace folder tells of it.

use std::{collections::HashMap, path::Path};

use super::{Folder, NoTrace, ProcessRow};
use crate::{
    ledger::{End, Instance, Step, Tables},
    process::{Detectors, Job, Played, Player, Process, end::Watch, redact, warnings},
    symbol::owner::torch_stacks,
};

/// Reads the whole of a trace folder.
///
/// # Errors
/// It is not one of this format, or cannot be read.
pub fn job(path: &Path) -> Result<Job, NoTrace> {
    let folder = Folder::open(path)?;
    let mut tables = folder.tables();
    let mut players: HashMap<Instance, Player<Detectors>> = HashMap::new();
    let mut in_flight: HashMap<Instance, u32> = HashMap::new();
    let read = folder.timelines(|instance, step| {
        if let Step::Live(live) = step {
            let freeing = live.iter().filter(|entry| entry.freeing).count();
            in_flight.insert(instance, freeing as u32);
        }
        let player = players.entry(instance).or_insert_with(|| {
            let mut player = Player::default();
            player.learn(tables.get(&instance).map(torch_stacks).unwrap_or_default());
            player
        });
        player.step(step);
    });
    let notes = folder.notes();
    let unstored = notes.iter().find(|note| note.blocks_unstored).map(|note| note.time);
    let mut job = Job {
        bystanders: folder.bystanders(),
        readings: folder.readings(),
        notes: notes.into_iter().map(|note| note.text).collect(),
        ..Job::default()
    };
    if let Err(error) = read {
        job.notes.push(format!("{} was read only in part: {error}", path.display()));
    }
    let ended = folder.head().ended_ns;
    if ended.is_none() {
        let text = "tracing has not ended, or memtrace was killed: what came last may be missing";
        job.notes.push(text.to_owned());
    }
    for row in folder.processes() {
        job.as_of = job.as_of.max(row.time);
        let instance = row.identity.instance;
        let tables = tables.remove(&instance).unwrap_or_default();
        let played = players.remove(&instance).unwrap_or_default().finish();
        let mut process = process(row, tables, played, unstored);
        process.in_flight = in_flight.get(&instance).copied().unwrap_or(0);
        if ended.is_none() && process.end == End::Running {
            process.end = Watch::new(&process.identity).end(process.health.exited);
        }
        job.processes.push(process);
    }
    let newest = job.readings.last().map_or(0, |reading| reading.time);
    job.as_of = job.as_of.max(newest).max(folder.head().started_ns).max(ended.unwrap_or(0));
    Ok(job)
}

fn process(row: ProcessRow, tables: Tables, played: Played, unstored: Option<u64>) -> Process {
    let mut losses = row.losses;
    losses.blocks_unstored_since = unstored.filter(|since| *since <= row.time);
    Process {
        pid: row.pid.unwrap_or(row.identity.pid),
        command: redact::command_line(&row.identity.command),
        tables: Tables { apis: row.apis, ..tables },
        warnings: warnings::warnings(&row.health, &losses),
        identity: row.identity,
        health: row.health,
        gauges: row.gauges,
        end: row.end,
        role: row.role,
        played,
        in_flight: 0,
        losses,
    }
}
