//! Processes as their ring files tell of them, with no collector: the live table is the truth, and
//! the ring's window the history.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use wire::folder::Off;

use super::{
    Damage, Drain, Drained, Found, LiveSet, RingFile, TableReader, off, offs, rings, tidy,
};
use crate::{
    ledger::{End, Instance, Pairs, Step, Tables},
    nvml::Gpus,
    outside::{self, Queue},
    phase::Spans,
    process::{
        Detectors, First, Growing, Job, Losses, Observer, Played, Player, Process, end::Watch,
        proc_fs, redact, replaced, role, warm_up, warnings,
    },
    symbol::owner::torch_stacks,
    sys,
};

/// Of a process that is not there, and would not be seen if it were.
const UNSEEN: &str = "it is a process of another container, which cannot be seen from here: whether it \
                      still runs is not known";

/// All processes whose rings lie in `folder`; with `pid` to tell only of those with that pid. A file that
/// cannot be read is a note of the job. What is too old is told of once more, and removed.
///
/// # Errors
/// The folder cannot be listed.
pub fn job(folder: &Path, pid: Option<u32>) -> io::Result<Job> {
    read(folder, pid, None)
}

/// The same with what growth is measured from, for as many sites of a process as `most`.
///
/// # Errors
/// As of [`job`].
pub fn job_with_growth(folder: &Path, pid: Option<u32>, most: usize) -> io::Result<Job> {
    read(folder, pid, Some(Growing { most, ..Growing::default() }))
}

fn read(folder: &Path, pid: Option<u32>, mut growing: Option<Growing>) -> io::Result<Job> {
    let mut job = Job { as_of: sys::realtime(), only: pid, ..Job::default() };
    let mut marks = Marks::default();
    for found in rings(folder)? {
        let marks = |instance| marks.of(&found, instance);
        match RingFile::open(&found.path).and_then(|ring| process(&ring, marks, growing.as_mut())) {
            Ok(process) => job.processes.push(process),
            // A process may have ended, or its job, while we looked.
            Err(Damage::Unreadable(_)) if !found.path.exists() => {}
            Err(damage) => job.notes.push(format!("{} {damage}", found.path.display())),
        }
    }
    job.growing = growing;
    job.notes.extend(marks.trouble());
    job.processes.extend(offs(folder)?.iter().map(|(off, _)| unrecorded(off)));
    for instance in replaced(job.processes.iter().map(|process| &process.identity)) {
        let gone = job.processes.iter_mut().find(|p| p.identity.instance == instance);
        if let Some(process) = gone.filter(|p| p.end == End::Running) {
            process.end = End::Ended;
        }
    }
    job.processes.sort_by_key(|p| (p.identity.started_realtime, p.identity.instance));
    job.notes.extend(tidy(folder)?);
    if job.processes.iter().any(|process| process.end == End::Running) {
        match Gpus::open() {
            Ok(gpus) => job.readings.push(gpus.reading()),
            Err(sentence) => job.notes.push(sentence),
        }
    }
    Ok(job)
}

/// The marks from outside, by the folder they lie in.
#[derive(Default)]
struct Marks(BTreeMap<PathBuf, outside::Read>);

impl Marks {
    /// Those of the process whose ring was found there.
    fn of(&mut self, found: &Found, instance: Instance) -> Vec<outside::Line> {
        let Some(folder) = found.path.parent() else { return Vec::new() };
        let read = || outside::read(folder, sys::monotonic());
        let known = self.0.entry(folder.to_owned()).or_insert_with(read);
        known.lines.iter().filter(|line| line.instance == instance).cloned().collect()
    }

    fn trouble(self) -> impl Iterator<Item = String> {
        self.0.into_values().filter_map(|read| read.trouble)
    }
}

/// The process that writes `ring`, as of now; `marks` gives what others marked in its time.
///
/// # Errors
/// The file cannot be read any more.
fn process(
    ring: &RingFile,
    marks: impl FnOnce(Instance) -> Vec<outside::Line>,
    growing: Option<&mut Growing>,
) -> Result<Process, Damage> {
    let watch = Watch::new(&ring.identity()?);
    let alive = watch.is_alive();
    let mut tables = TableReader::new(ring);
    let mut drain = Drain::new();
    let mut drained = Vec::new();
    drain.step(ring, alive, |slot| drained.push(slot))?;
    let live = ring.live()?;
    for slot in &drained {
        if let Drained::Slot { record: Some(record), .. } = slot {
            tables.record(ring, record)?;
        }
    }
    for entry in &live.entries {
        tables.live(ring, entry)?;
    }
    let mut known = Tables { apis: tables.apis(ring)?, ..Tables::default() };
    known.add(tables.take(ring)?);
    // After the stacks: they tell what is PyTorch's own where no block does.
    let mut player = Player::<Detectors>::default();
    player.learn(torch_stacks(&known));
    let marks = Queue::new(marks(ring.instance()), &mut known);
    player.expect(marks.clone());
    player.observer().learn(&known);
    play(&mut player, &drained, &live);
    if let Some(growing) = growing {
        let first = first(&known, marks, &drained, &live);
        growing.firsts.extend(first.map(|first| (ring.instance(), first)));
    }
    described(ring, &watch, Told { known, player, live, losses: drain.losses() })
}

/// Plays what was drained, and the live set it ends with.
fn play<O: Observer>(player: &mut Player<O>, drained: &[Drained], live: &LiveSet) {
    let mut pairs = Pairs::default();
    for slot in drained {
        slot.steps(&mut pairs, |step| player.step(step));
    }
    pairs.finish().iter().for_each(|event| player.step(Step::Event(event)));
    player.step(Step::Live(&live.entries));
}

/// What was live at the end of the warm-up: all of the timeline tells when that was.
fn first(known: &Tables, marks: Queue, drained: &[Drained], live: &LiveSet) -> Option<First> {
    let mut spans = Player::<Spans>::default();
    spans.expect(marks);
    play(&mut spans, drained, live);
    spans.close();
    let until = warm_up(&spans)?;
    let mut player = Player::<()>::default();
    player.learn(torch_stacks(known));
    player.stop_at(Some(until));
    play(&mut player, drained, live);
    player.close();
    Some(First::of(&player, until))
}

/// What was read of a process's timeline, up to its live set.
pub(super) struct Told {
    pub known: Tables,
    pub player: Player<Detectors>,
    pub live: LiveSet,
    pub losses: Losses,
}

/// The process that writes `ring`, with what was read of it.
///
/// # Errors
/// The file cannot be read any more.
pub(super) fn described(ring: &RingFile, watch: &Watch, told: Told) -> Result<Process, Damage> {
    let Told { known, player, live, losses } = told;
    let freeing = live.entries.iter().filter(|entry| entry.freeing).count() as u32;
    let mut identity = ring.identity()?;
    if let Some(title) = watch.pid().filter(|_| watch.is_alive()).map(proc_fs::command) {
        identity.retitle(title);
    }
    let health = ring.health()?;
    let end = watch.end(health.exited);
    let mut warnings = warnings::warnings(&health, &losses);
    if end == End::Ended && !proc_fs::sees(identity.pid_namespace) {
        warnings.push(UNSEEN.to_owned());
    }
    Ok(Process {
        pid: watch.pid().unwrap_or(identity.pid),
        end,
        role: role::role(&identity.command, &identity.environment),
        command: redact::command_line(&identity.command),
        gauges: ring.gauges()?,
        tables: known,
        played: player.finish(),
        in_flight: live.in_flight + freeing,
        warnings,
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

#[cfg(test)]
mod tests {
    use std::fs;

    use wire::{
        header::{self, Mode, Reason},
        record::Class,
    };

    use super::*;
    use crate::source::fake::FakeRing;

    #[test]
    fn a_dead_processs_ring_tells_what_it_held_and_where_that_was_taken() {
        let folder = tempfile::tempdir().unwrap();
        let fake = FakeRing::new([1, 2]);
        let stack = fake.python_stack("forward");
        fake.take(Class::Linear, 0x7f00_0000_0000, 2 << 20, 0);
        fake.take(Class::Block, 0x7f00_0000_0000, 512, stack);
        fake.save(folder.path());
        let job = job(folder.path(), None).unwrap();
        let [process] = job.processes.as_slice() else { panic!("{:?}", job.notes) };
        assert_eq!((process.end, process.pid), (End::Ended, 4711));
        assert_eq!(process.command, "python3 job.py");
        assert_eq!(process.role.as_deref(), Some("rank 3"));
        let totals = process.played.state.totals(0);
        assert_eq!((totals.reserved(), totals.allocated), (2 << 20, 512));
        assert_eq!(process.tables.frames(stack).len(), 1);
        assert_eq!(process.tables.apis.len(), 2);
        assert!(process.warnings.is_empty() && job.notes.is_empty());
    }

    #[test]
    fn files_that_are_no_rings_and_processes_that_could_not_record_are_told_of() {
        let folder = tempfile::tempdir().unwrap();
        let fake = FakeRing::new([1, 2]);
        fake.set(header::VERSION, 1 << 32 | 9);
        fake.save(folder.path());
        fs::write(folder.path().join(format!("{:032x}.ring", 7)), [9; 5000]).unwrap();
        let reason = Reason::NoRoom as u64;
        let off = Off { instance: [5, 6], pid: 7, start_ticks: 8, pid_namespace: 9, reason };
        fs::write(folder.path().join(off.to_string()), "").unwrap();
        let job = job(folder.path(), None).unwrap();
        assert_eq!(job.notes.len(), 2);
        assert!(job.notes.iter().any(|note| note.contains("layout 9")), "{:?}", job.notes);
        let [process] = job.processes.as_slice() else { panic!() };
        assert_eq!(process.end, End::Ended);
        assert_eq!(Mode::of(process.health.mode), Some(Mode::Off));
        assert!(process.warnings[0].contains("no room"));
    }

    #[test]
    fn what_was_marked_beside_a_ring_is_told_with_its_process() {
        let folder = tempfile::tempdir().unwrap();
        let fake = FakeRing::new([1, 2]);
        fake.take(Class::Block, 0x7f00_0000_0000, 512, 0);
        fake.save(folder.path());
        let (mine, other) = (Instance([1, 2]), Instance([3, 4]));
        outside::append(folder.path(), &[mine, other], outside::Kind::Point, "loaded 3").unwrap();
        let told = |job: &Job| {
            let [process] = job.processes.as_slice() else { panic!("{:?}", job.notes) };
            process.played.phases.moments(|id| crate::phase::text(&process.tables, id))
        };
        let first = job(folder.path(), None).unwrap();
        assert_eq!(told(&first)["loaded 3"].count, 1);
        assert!(first.notes.is_empty(), "{:?}", first.notes);
        fs::remove_file(folder.path().join("marks")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("marks")).unwrap();
        let second = job(folder.path(), None).unwrap();
        assert!(told(&second).is_empty());
        assert!(second.notes[0].contains("no mark was read"), "{:?}", second.notes);
    }

    #[test]
    fn of_two_images_of_one_process_the_later_one_lives() {
        let folder = tempfile::tempdir().unwrap();
        let me = std::process::id();
        for (instance, started) in [(1, 100), (2, 200)] {
            let fake = FakeRing::new([instance, 0]);
            fake.set(header::PID, me.into());
            fake.set(header::START_TICKS, proc_fs::stat(me).unwrap().start_ticks);
            fake.set(header::PID_NAMESPACE, proc_fs::own_namespace());
            fake.set(header::STARTED_MONOTONIC, started);
            fake.save(folder.path());
        }
        let job = job(folder.path(), Some(me)).unwrap();
        let ends: Vec<End> = job.processes.iter().map(|process| process.end).collect();
        assert_eq!(ends, [End::Ended, End::Running]);
    }
}
