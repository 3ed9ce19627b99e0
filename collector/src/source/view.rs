//! Processes as their ring files tell of them, with no collector: the live table is the truth, and
//! the ring's window the history.

use std::{io, path::Path};

use wire::folder::Off;

use super::{Damage, Drain, Drained, RingFile, TableReader, off, offs, rings};
use crate::{
    ledger::{End, Pairs, Step, Tables},
    nvml::Gpus,
    process::{
        Detectors, Job, Losses, Played, Player, Process, end::Watch, proc_fs, redact, replaced,
        role, warnings,
    },
    sys,
};

/// All processes whose rings lie in `folder`, or with `pid` only those with that pid. A file that
/// cannot be read is a note of the job.
///
/// # Errors
/// The folder cannot be listed.
pub fn job(folder: &Path, pid: Option<u32>) -> io::Result<Job> {
    let mut job = Job { as_of: sys::realtime(), ..Job::default() };
    for found in rings(folder)? {
        match RingFile::open(&found.path).and_then(|ring| process(&ring)) {
            Ok(process) => job.processes.push(process),
            // A process may have ended, or its job, while we looked.
            Err(Damage::Unreadable(_)) if !found.path.exists() => {}
            Err(damage) => job.notes.push(format!("{} {damage}", found.path.display())),
        }
    }
    job.processes.extend(offs(folder)?.iter().map(|(off, _)| unrecorded(off)));
    for instance in replaced(job.processes.iter().map(|process| &process.identity)) {
        let gone = job.processes.iter_mut().find(|p| p.identity.instance == instance);
        if let Some(process) = gone.filter(|p| p.end == End::Running) {
            process.end = End::Ended;
        }
    }
    if let Some(pid) = pid {
        job.processes.retain(|process| process.pid == pid || process.identity.pid == pid);
    }
    job.processes.sort_by_key(|p| (p.identity.started_realtime, p.identity.instance));
    if job.processes.iter().any(|process| process.end == End::Running) {
        match Gpus::open() {
            Ok(gpus) => job.readings.push(gpus.reading()),
            Err(sentence) => job.notes.push(sentence),
        }
    }
    Ok(job)
}

/// The process that writes `ring`, as of now.
///
/// # Errors
/// The file cannot be read any more.
pub fn process(ring: &RingFile) -> Result<Process, Damage> {
    let watch = Watch::new(&ring.identity()?);
    let alive = watch.is_alive();
    let mut player = Player::<Detectors>::default();
    let mut tables = TableReader::new(ring);
    let mut pairs = Pairs::default();
    let mut drain = Drain::new();
    let mut records = Vec::new();
    let mut play = |drained: Drained| match drained {
        Drained::Lost(slots) => {
            pairs.finish().iter().for_each(|event| player.step(Step::Event(event)));
            player.step(Step::Lost(slots));
        }
        Drained::Slot { position, record: Some(record), .. } => {
            let whole = pairs.push(position, record);
            whole.iter().for_each(|event| player.step(Step::Event(event)));
            records.push((record.native, record.python));
        }
        Drained::Slot { record: None, .. } => {}
    };
    drain.step(ring, alive, &mut play)?;
    pairs.finish().iter().for_each(|event| player.step(Step::Event(event)));
    let live = ring.live()?;
    player.step(Step::Live(&live.entries));
    for (native, python) in records {
        tables.stacks(ring, native, python)?;
    }
    for entry in &live.entries {
        tables.live(ring, entry)?;
    }
    let freeing = live.entries.iter().filter(|entry| entry.freeing).count() as u32;
    let mut identity = ring.identity()?;
    if let Some(title) = watch.pid().filter(|_| alive).map(proc_fs::command) {
        identity.retitle(title);
    }
    let (health, losses) = (ring.health()?, drain.losses());
    let mut known = Tables { apis: tables.apis(ring)?, ..Tables::default() };
    known.add(tables.take(ring)?);
    Ok(Process {
        pid: watch.pid().unwrap_or(identity.pid),
        end: watch.end(health.exited),
        role: role::role(&identity.command, &identity.environment),
        command: redact::command_line(&identity.command),
        gauges: ring.gauges()?,
        tables: known,
        played: player.finish(),
        in_flight: live.in_flight + freeing,
        warnings: warnings::warnings(&health, &losses),
        identity,
        health,
        losses,
    })
}

/// A process that used CUDA and could not record.
fn unrecorded(off: &Off) -> Process {
    let (mut identity, health) = off::unrecorded(off);
    let watch = Watch::new(&identity);
    identity.retitle(watch.pid().map(proc_fs::command).unwrap_or_default());
    let losses = Losses::default();
    Process {
        pid: watch.pid().unwrap_or(identity.pid),
        end: watch.end(0),
        role: role::role(&identity.command, &identity.environment),
        command: redact::command_line(&identity.command),
        gauges: Vec::new(),
        tables: Tables::default(),
        played: Played::default(),
        in_flight: 0,
        warnings: warnings::warnings(&health, &losses),
        identity,
        health,
        losses,
    }
}
