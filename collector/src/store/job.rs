//! A job as its trace folder tells of it.

use std::{collections::HashMap, path::Path};

use super::{Flaw, Folder, NoTrace, ProcessRow, SampleRow};
use crate::{
    ledger::{End, Gauges, Instance, Step, Tables},
    outside::Queue,
    phase::Spans,
    process::{
        Detectors, Figures, First, Growing, Job, Outlived, Played, Player, Process, Stops,
        end::Watch, redact, warm_up, warnings,
    },
    symbol::owner::torch_stacks,
    sys,
};

/// What a process's timeline lacks that does not end with a live set.
const UNFINISHED: &str = "the trace does not tell what it held in the end, only as much as was \
                          stored of how it came to that";

/// Reads the whole of a trace folder.
///
/// # Errors
/// It is not one of this format, or cannot be read.
pub fn job(path: &Path) -> Result<Job, NoTrace> {
    job_at(path, &Stops::default())
}

/// The same with what growth is measured from, for as many sites of a process as `most`. Of a process
/// whose block events were not stored any more when its warm-up ended that is not known.
///
/// # Errors
/// As of [`job`].
pub fn job_with_growth(path: &Path, most: usize) -> Result<Job, NoTrace> {
    let mut whole = job(path)?;
    let folder = Folder::open(path)?;
    // Whatever is wrong with a file has been told of.
    let flaws = &mut Vec::new();
    let unstored = folder.notes(flaws).into_iter().find(|note| note.blocks_unstored);
    let mut growing = Growing { most, ..Growing::default() };
    let mut ends: HashMap<Instance, Player<Spans>> = HashMap::new();
    let mut marks = folder.marks(flaws);
    for Process { identity, tables, .. } in &mut whole.processes {
        let mut player = Player::<Spans>::default();
        player.expect(Queue::new(marks.remove(&identity.instance).unwrap_or_default(), tables));
        ends.insert(identity.instance, player);
    }
    // As far as it can be read.
    let _ = folder.timelines(flaws, |instance, step| {
        if let Some(player) = ends.get_mut(&instance) {
            player.step(step);
        }
    });
    let mut players: HashMap<Instance, (u64, Player<()>)> = HashMap::new();
    for Process { identity, tables, .. } in &whole.processes {
        let Some(mut player) = ends.remove(&identity.instance) else { continue };
        player.close();
        let Some(until) = warm_up(&player) else { continue };
        if unstored.as_ref().is_some_and(|note| identity.realtime(until) >= note.time) {
            continue;
        }
        let mut player = Player::<()>::default();
        player.learn(torch_stacks(tables));
        player.stop_at(Some(until));
        players.insert(identity.instance, (until, player));
    }
    let _ = folder.timelines(flaws, |instance, step| {
        if let Some((_, player)) = players.get_mut(&instance) {
            player.step(step);
        }
    });
    for (instance, (until, mut player)) in players {
        player.close();
        growing.firsts.insert(instance, First::of(&player, until));
    }
    whole.growing = Some(growing);
    Ok(whole)
}

/// The same as of the moments in `stops`: what was known then, without the processes that came later.
///
/// # Errors
/// As of [`job`].
pub fn job_at(path: &Path, stops: &Stops) -> Result<Job, NoTrace> {
    let folder = Folder::open(path)?;
    let mut flaws = Vec::new();
    let rows = folder.processes(&mut flaws)?;
    let notes = folder.notes(&mut flaws);
    let unstored = notes.iter().find(|note| note.blocks_unstored).map(|note| note.time);
    let mut tables = folder.tables(&mut flaws);
    let mut marks = folder.marks(&mut flaws);
    let mut players: HashMap<Instance, Player<Detectors>> = HashMap::new();
    for ProcessRow { identity, .. } in &rows {
        let until = unstored.map_or(u64::MAX, |since| identity.monotonic(since));
        let mut player = Player::new(Detectors::until(until));
        let tables = tables.entry(identity.instance).or_default();
        player.learn(torch_stacks(tables));
        player.expect(Queue::new(marks.remove(&identity.instance).unwrap_or_default(), tables));
        player.observer().learn(tables);
        player.stop_at(stops.until(identity.instance));
        players.insert(identity.instance, player);
    }
    // Entries that were being given back in the live set that a timeline ends with.
    let mut last: HashMap<Instance, u32> = HashMap::new();
    // A process has its first row before its first slot.
    let read = folder.timelines(&mut flaws, |instance, step| {
        match step {
            Step::Live(live) => {
                let freeing = live.iter().filter(|entry| entry.freeing).count();
                last.insert(instance, freeing as u32);
            }
            Step::Event(_) | Step::Lost(_) => drop(last.remove(&instance)),
        }
        if let Some(player) = players.get_mut(&instance) {
            player.step(step);
        }
    });
    // Read to the end even where nothing of it is needed: it may have a flaw.
    for row in folder.samples(&mut flaws) {
        if unstored.is_some() {
            roll_up(row, &mut players);
        }
    }
    let mut job = Job {
        bystanders: folder.bystanders(&mut flaws),
        readings: folder.readings(&mut flaws),
        notes: notes.into_iter().map(|note| note.text).collect(),
        ..Job::default()
    };
    job.notes.extend(flaws.iter().map(Flaw::to_string));
    if let Err(error) = read {
        job.notes.push(format!("{} was read only in part: {error}", path.display()));
    }
    let ended = folder.head().ended_ns;
    if ended.is_none() {
        let text = "tracing has not ended, or was cut short: what came last may be missing";
        job.notes.push(text.to_owned());
    }
    let mut then: Option<u64> = None;
    for row in rows {
        let (instance, time) = (row.identity.instance, row.time);
        job.as_of = job.as_of.max(time);
        let tables = tables.remove(&instance).unwrap_or_default();
        let player = players.remove(&instance).unwrap_or_default();
        if let Some(until) = stops.until(instance) {
            then = then.max(Some(row.identity.realtime(until)));
            if row.identity.started_monotonic > until {
                continue;
            }
        }
        let is_stopped = player.is_stopped();
        let mut process = process(row, tables, player.finish(), unstored);
        if is_stopped {
            stopped(&mut process);
            job.processes.push(process);
            continue;
        }
        match last.get(&instance) {
            Some(freeing) => process.in_flight = *freeing,
            None if process.health.head == 0 => {}
            None => process.warnings.push(UNFINISHED.to_owned()),
        }
        match (process.end, ended) {
            (End::Running, None) => {
                process.end = Watch::new(&process.identity).end(process.health.exited);
            }
            (End::Running, Some(ended)) if Watch::new(&process.identity).is_alive() => {
                let seen = sys::realtime();
                job.outlived.push(Outlived { instance, ended, seen });
            }
            (End::Running, Some(_)) => {}
            _ => drop(job.ended_by.insert(instance, time)),
        }
        job.processes.push(process);
    }
    let newest = job.readings.last().map_or(0, |reading| reading.time);
    job.as_of = job.as_of.max(newest).max(folder.head().started_ns).max(ended.unwrap_or(0));
    if let Some(then) = then {
        job.as_of = job.as_of.min(then);
        job.readings.retain(|reading| reading.time <= then);
    }
    Ok(job)
}

/// Makes a process as it is known at its end one as it was at a moment before that: of gauges only
/// the last ones are stored.
fn stopped(process: &mut Process) {
    process.end = End::Running;
    let state = &process.played.state;
    for gauges in &mut process.gauges {
        let totals = state.totals(gauges.device);
        *gauges = Gauges {
            device: gauges.device,
            uuid: gauges.uuid,
            total: gauges.total,
            reserved: totals.reserved(),
            reserved_peak: totals.reserved(),
            allocated: totals.allocated,
            torch_reserved: totals.allocator_reserved,
            pool_allocated: totals.pool_allocated,
            ..Gauges::default()
        };
    }
}

/// Where block events were not stored any more, the roll-ups of each second tell the detectors how
/// things went on: the greatest figures first, because memory is taken before it is given back.
fn roll_up(row: SampleRow, players: &mut HashMap<Instance, Player<Detectors>>) {
    let SampleRow::Totals(sample) = row else { return };
    let Some(player) = players.get_mut(&sample.instance) else { return };
    let (allocated, reserved) = (sample.torch_allocated, sample.torch_reserved);
    let figures = |time, allocated, reserved| Figures { time, allocated, reserved };
    let begin = figures(sample.time, allocated.greatest, reserved.greatest);
    let end = figures(sample.time + 999_999_999, allocated.least, reserved.least);
    player.observer().rolled_up(sample.device, [begin, end]);
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
