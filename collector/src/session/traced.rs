//! One process of the job, from the moment its ring is found to its last slot.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use wire::record::Verb;

use super::{
    Progress,
    sampler::Sampler,
    sink::{BATCH, Item, Sink},
};
use crate::{
    ledger::{End, Gauges, Health, Identity, Pairs, Step},
    process::{Player, end::Watch, proc_fs, redact, role},
    source::{self, Damage, Drain, Drained, RingFile, TableReader},
    store::{LiveRow, ProcessRow},
    sys,
};

/// A live set is read at most this often; while a ring overflows again and again, less and less
/// often, down to [`RESYNC_RARELY`]: each may take some MiB of the trace.
const RESYNC: Duration = Duration::from_secs(1);
const RESYNC_RARELY: Duration = Duration::from_secs(64);
/// A row that only tells new figures is written at most this often.
const FIGURES: Duration = Duration::from_secs(10);

/// A process and its ring.
#[derive(Debug)]
pub struct Traced {
    ring: RingFile,
    identity: Identity,
    /// The last title it had; its ring may know only an older one, and no dead process has any.
    title: Vec<String>,
    /// Names the program in its address space, while that is known.
    image: Option<u64>,
    watch: Watch,
    drain: Drain,
    tables: TableReader,
    apis: Vec<String>,
    pairs: Pairs,
    player: Player<Sampler>,
    health: Health,
    gauges: Vec<Gauges>,
    /// Something was lost, or a context ended: what is held has to be read anew.
    unsure: bool,
    resynced: Option<Instant>,
    resync_after: Duration,
    finished: bool,
    written: Option<(Instant, ProcessRow)>,
}

impl Traced {
    /// Begins with the ring at `path`.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn open(path: &Path) -> Result<Self, Damage> {
        let ring = RingFile::open(path)?;
        let identity = ring.identity()?;
        let mut tables = TableReader::new(&ring);
        let watch = Watch::new(&identity);
        Ok(Self {
            title: Vec::new(),
            image: watch.pid().and_then(proc_fs::image),
            watch,
            drain: Drain::new(),
            apis: tables.apis(&ring)?,
            pairs: Pairs::default(),
            player: Player::new(Sampler::new(ring.instance())),
            health: ring.health()?,
            gauges: ring.gauges()?,
            unsure: false,
            resynced: None,
            resync_after: RESYNC,
            finished: false,
            written: None,
            tables,
            identity,
            ring,
        })
    }

    /// Drains once. After the process has ended this is its last drain.
    ///
    /// # Errors
    /// The ring cannot be read any more; the process is given up.
    pub fn step(&mut self, sink: &Sink) -> Result<source::Progress, Damage> {
        // Asked before draining: what a process wrote before it ended is then there to be drained.
        let alive = self.watch.is_alive();
        let progress = self.drain(alive, sink)?;
        self.unsure |= progress.lost > 0;
        if !alive || (self.unsure && self.resync_is_due()) {
            self.resync(sink)?;
        }
        let new = self.tables.take(&self.ring)?;
        if !new.is_empty() {
            sink.send(Item::Additions(self.ring.instance(), new));
        }
        if !alive {
            self.finished = true;
            self.player.close();
        }
        self.send_samples(sink);
        Ok(progress)
    }

    fn drain(&mut self, alive: bool, sink: &Sink) -> Result<source::Progress, Damage> {
        let (instance, salt) = (self.ring.instance(), self.ring.salt());
        let mut batch = Vec::new();
        let send = |batch: &mut Vec<Drained>| {
            let drained = std::mem::take(batch);
            if !drained.is_empty() {
                sink.send(Item::Slots { instance, salt, drained });
            }
        };
        let (pairs, player) = (&mut self.pairs, &mut self.player);
        let (unsure, tables) = (&mut self.unsure, &mut self.tables);
        let mut failed = None;
        let progress = self.drain.step(&self.ring, alive, |drained| {
            if let Drained::Slot { record: Some(record), .. } = &drained {
                *unsure |= record.verb == Verb::Reset;
                failed = tables.record(&self.ring, record).err().or(failed.take());
            }
            drained.steps(pairs, |step| player.step(step));
            batch.push(drained);
            if batch.len() == BATCH {
                send(&mut batch);
            }
        });
        send(&mut batch);
        match failed {
            Some(damage) => Err(damage),
            None => progress,
        }
    }

    /// Whether a live set may be read already; puts the one after that off.
    fn resync_is_due(&mut self) -> bool {
        let Some(since) = self.resynced.map(|last| last.elapsed()) else { return true };
        let due = since >= self.resync_after;
        if due {
            let calm = since >= 2 * RESYNC_RARELY;
            let twice = (2 * self.resync_after).min(RESYNC_RARELY);
            self.resync_after = if calm { RESYNC } else { twice };
        }
        due
    }

    fn resync(&mut self, sink: &Sink) -> Result<(), Damage> {
        let live = self.ring.live()?;
        for entry in &live.entries {
            self.tables.live(&self.ring, entry)?;
        }
        let (instance, position) = (self.ring.instance(), self.drain.next());
        sink.send(Item::Live(LiveRow::new(instance, position, sys::realtime(), &live.entries)));
        self.player.step(Step::Live(&live.entries));
        self.unsure = false;
        self.resynced = Some(Instant::now());
        Ok(())
    }

    /// Reads gauges, counters and the process's title; writes a row if anything changed.
    ///
    /// # Errors
    /// The ring cannot be read any more.
    pub fn look(&mut self, sink: &Sink) -> Result<(), Damage> {
        self.health = self.ring.health()?;
        self.gauges = self.ring.gauges()?;
        self.identity = self.ring.identity()?;
        if let Some(title) = self.title_now().filter(|title| role::is_telling(title)) {
            self.title = title;
        }
        self.identity.retitle(self.title.clone());
        let row = self.row();
        let told = self.written.as_ref().is_some_and(|(at, before)| {
            let same = ProcessRow { time: before.time, ..row.clone() } == *before;
            same || (is_same_but_for_figures(before, &row) && at.elapsed() < FIGURES)
        });
        if !told {
            sink.send(Item::Process(Box::new(row.clone())));
            self.written = Some((Instant::now(), row));
        }
        Ok(())
    }

    /// What it calls itself now; nothing once its place was taken by another program, which has the
    /// same pid and start time.
    fn title_now(&self) -> Option<Vec<String>> {
        let pid = self.watch.pid().filter(|_| !self.finished)?;
        let title = proc_fs::command(pid);
        (proc_fs::image(pid) == self.image).then_some(title)
    }

    fn row(&self) -> ProcessRow {
        let mut identity = self.identity.clone();
        let role = role::role(&identity.command, &identity.environment);
        identity.command = redact::arguments(&identity.command);
        ProcessRow {
            identity,
            pid: self.watch.pid(),
            health: self.health.clone(),
            gauges: self.gauges.clone(),
            end: self.watch.end(self.health.exited),
            role,
            apis: self.apis.clone(),
            losses: self.drain.losses(),
            time: sys::realtime(),
        }
    }

    /// The last word about it: reads its live set if it still runs.
    ///
    /// # Errors
    /// The ring cannot be read any more.
    pub fn close(&mut self, sink: &Sink) -> Result<(), Damage> {
        if !self.finished {
            self.step(sink)?;
        }
        if !self.finished {
            self.resync(sink)?;
            let new = self.tables.take(&self.ring)?;
            sink.send(Item::Additions(self.ring.instance(), new));
            self.player.close();
            self.send_samples(sink);
        }
        self.look_for_the_last_time(sink)
    }

    /// As [`Self::look`], and the row is written in any case: the last one counts.
    ///
    /// # Errors
    /// The ring cannot be read any more.
    pub fn look_for_the_last_time(&mut self, sink: &Sink) -> Result<(), Damage> {
        self.written = None;
        self.look(sink)
    }

    fn send_samples(&mut self, sink: &Sink) {
        for sample in self.player.observer().take() {
            sink.send(Item::Sample(sample));
        }
    }

    /// Tells it how it ended.
    pub fn tell(&mut self, end: End) {
        self.watch.tell(end);
    }

    /// Whether its last slot was drained.
    #[must_use]
    pub const fn is_finished(&self) -> bool {
        self.finished
    }

    /// Its ring.
    #[must_use]
    pub const fn ring(&self) -> &RingFile {
        &self.ring
    }

    /// Who it is.
    #[must_use]
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Pid in our namespace, where it is known, and start time.
    #[must_use]
    pub fn key(&self) -> (u32, u64) {
        (self.watch.pid().unwrap_or(self.identity.pid), self.identity.start_ticks)
    }

    /// Its gauges as of the last look.
    #[must_use]
    pub fn gauges(&self) -> &[Gauges] {
        &self.gauges
    }

    /// Adds its events and losses.
    pub fn count(&self, progress: &mut Progress) {
        progress.events += self.health.head;
        let losses = self.drain.losses();
        progress.dropped += losses.overwritten + losses.damaged + losses.unfinished;
    }
}

fn is_same_but_for_figures(before: &ProcessRow, now: &ProcessRow) -> bool {
    let mode = |row: &ProcessRow| (row.health.mode, row.health.python_state, row.health.exited);
    // Of a device that no row has told of, nothing that a trace holds is shown.
    let device = |gauges: &Gauges| (gauges.device, gauges.uuid, gauges.total);
    let devices = |row: &ProcessRow| row.gauges.iter().map(device).collect::<Vec<_>>();
    devices(before) == devices(now)
        && before.identity == now.identity
        && before.role == now.role
        && before.end == now.end
        && mode(before) == mode(now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::fake::FakeRing;

    #[test]
    fn a_row_is_written_at_once_when_a_device_is_new_and_not_when_figures_are() {
        let folder = tempfile::tempdir().unwrap();
        let traced = Traced::open(&FakeRing::new([1, 0]).save(folder.path())).unwrap();
        let none = ProcessRow { gauges: Vec::new(), ..traced.row() };
        let of = |device, reserved| {
            let gauges = vec![Gauges { device, reserved, ..Gauges::default() }];
            ProcessRow { gauges, ..none.clone() }
        };
        assert!(!is_same_but_for_figures(&none, &of(0, 0)));
        assert!(!is_same_but_for_figures(&of(0, 5), &of(1, 5)));
        assert!(is_same_but_for_figures(&of(0, 5), &of(0, 6)));
    }
}
