//! Following processes that somebody else started, for as long as somebody drives them.

use std::{
    io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::{
    ledger::Instance,
    nvml::Gpus,
    process::{Job, end::Watch, role},
    source::{Damage, Follower, RingFile, offs, rings, unrecorded},
    sys,
};

/// NVML is asked at most this often: it takes it a millisecond or more.
const ASK: Duration = Duration::from_millis(50);

/// A moment by both clocks, ns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// `CLOCK_MONOTONIC`.
    pub monotonic: u64,
    /// `CLOCK_REALTIME`.
    pub realtime: u64,
}

impl Moment {
    /// This one.
    #[must_use]
    pub fn now() -> Self {
        Self { monotonic: sys::monotonic(), realtime: sys::realtime() }
    }
}

/// The processes that are followed, and NVML beside them.
#[derive(Debug)]
pub struct Witness {
    folder: PathBuf,
    followers: Vec<Follower>,
    gpus: Option<Gpus>,
    asked: Instant,
    changed: Instant,
    job: Job,
}

impl Witness {
    /// Begins to follow every process that lives and whose ring is in `folder`; if `pids` are given,
    /// only those. A ring that cannot be read is a note of the job.
    ///
    /// # Errors
    /// The folder cannot be listed.
    pub fn begin(folder: &Path, pids: &[u32]) -> io::Result<Self> {
        let (mut job, mut followers) = (Job::default(), Vec::new());
        for found in rings(folder)? {
            match Follower::begin(&found.path) {
                Ok(follower) if follower.is_alive() => followers.push(follower),
                // Of what is dead, or goes while we look, nothing comes any more.
                Ok(_) | Err(Damage::Unreadable(_)) => {}
                Err(damage) => job.notes.push(format!("{} {damage}", found.path.display())),
            }
        }
        followers.retain(|follower| is_meant(pids, follower));
        let gpus = Gpus::open().map_err(|sentence| job.notes.push(sentence)).ok();
        let folder = folder.to_owned();
        let now = Instant::now();
        let mut witness = Self { folder, followers, gpus, asked: now, changed: now, job };
        witness.ask();
        Ok(witness)
    }

    /// The pids of those that are followed.
    #[must_use]
    pub fn pids(&self) -> Vec<u32> {
        self.followers.iter().map(Follower::pid).collect()
    }

    /// Looks what came since the last look.
    pub fn look(&mut self) {
        let mut broken = None;
        for (place, follower) in self.followers.iter_mut().enumerate() {
            match follower.step() {
                Ok(true) => self.changed = Instant::now(),
                Ok(false) => {}
                Err(damage) => broken = Some((place, damage)),
            }
        }
        if let Some((place, damage)) = broken {
            let pid = self.followers.swap_remove(place).pid();
            self.job
                .notes
                .push(format!("process {pid} could not be followed to the end: {damage}"));
        }
        if self.asked.elapsed() >= ASK {
            self.ask();
        }
    }

    /// Asks NVML. What it says again is not kept again.
    fn ask(&mut self) {
        self.asked = Instant::now();
        let Some(reading) = self.gpus.as_ref().map(Gpus::reading) else { return };
        if self.job.readings.last().is_none_or(|last| last.gpus != reading.gpus) {
            self.job.readings.push(reading);
        }
    }

    /// For how long no process has taken or given back anything.
    #[must_use]
    pub fn rested(&self) -> Duration {
        self.changed.elapsed()
    }

    /// Events of all of them since the begin.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.followers.iter().map(Follower::seen).sum()
    }

    /// The end: the processes with all that was seen of them, by start; and sentences about those that
    /// did not live through it.
    #[must_use]
    pub fn end(mut self, pids: &[u32]) -> (Job, Vec<String>) {
        self.look();
        self.ask();
        let mut absent = Vec::new();
        let known: Vec<Instance> =
            self.followers.iter().map(|follower| follower.identity().instance).collect();
        for follower in self.followers {
            let pid = follower.pid();
            if !follower.is_alive() {
                absent.push(format!("process {pid} ended before the last answer"));
            }
            match follower.finish() {
                Ok(process) => self.job.processes.push(process),
                Err(damage) => absent.push(format!("process {pid} could not be read: {damage}")),
            }
        }
        absent.extend(silent(&self.folder, pids));
        self.job.notes.extend(newcomers(&self.folder, &known, pids));
        self.job.processes.sort_by_key(|p| (p.identity.started_realtime, p.identity.instance));
        self.job.as_of = sys::realtime();
        (self.job, absent)
    }
}

fn is_meant(pids: &[u32], follower: &Follower) -> bool {
    pids.is_empty() || pids.contains(&follower.pid()) || pids.contains(&follower.identity().pid)
}

/// Sentences about processes that live and could not record.
fn silent(folder: &Path, pids: &[u32]) -> Vec<String> {
    let offs = offs(folder).unwrap_or_default();
    let living = offs.iter().filter_map(|(off, _)| {
        let watch = Watch::new(&unrecorded(off).0);
        let pid = watch.pid().filter(|_| watch.is_alive())?;
        (pids.is_empty() || pids.contains(&pid))
            .then(|| format!("process {pid} uses CUDA and could not record"))
    });
    living.collect()
}

/// Sentences about processes that began in the meantime and live.
fn newcomers(folder: &Path, known: &[Instance], pids: &[u32]) -> Vec<String> {
    let rings = rings(folder).unwrap_or_default();
    let new = rings.iter().filter_map(|found| {
        let ring = RingFile::open(&found.path).ok()?;
        let is_new = !known.contains(&ring.instance());
        let follower = is_new.then(|| Follower::begin(&found.path).ok())??;
        let counts = follower.is_alive() && is_meant(pids, &follower);
        let identity = follower.identity();
        let role = role::role(&identity.command, &identity.environment);
        counts.then(|| {
            let (role, pid) = (role.unwrap_or_else(|| "process".to_owned()), follower.pid());
            format!("{role} (pid {pid}) began after the first request and is not judged")
        })
    });
    new.collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use wire::{
        folder::Off,
        header::{self, Reason},
        record::Class,
    };

    use super::*;
    use crate::{process::proc_fs, source::fake::FakeRing};

    /// A ring of this process.
    fn mine(instance: u64) -> FakeRing {
        let me = std::process::id();
        let fake = FakeRing::new([instance, 0]);
        fake.set(header::PID, me.into());
        fake.set(header::START_TICKS, proc_fs::stat(me).unwrap().start_ticks);
        fake.set(header::PID_NAMESPACE, proc_fs::own_namespace());
        fake
    }

    #[test]
    fn the_living_are_followed_and_the_others_told_of() {
        let folder = tempfile::tempdir().unwrap();
        let fake = mine(1);
        fake.take(Class::Linear, 0x7f00_0000_0000, 2 << 20, 0);
        fake.save(folder.path());
        FakeRing::new([2, 0]).save(folder.path());
        let mut witness = Witness::begin(folder.path(), &[]).unwrap();
        let me = std::process::id();
        assert_eq!((witness.pids(), witness.events()), (vec![me], 0));
        fake.take(Class::Linear, 0x7f00_0020_0000, 2 << 20, 0);
        fake.save(folder.path());
        witness.look();
        assert_eq!(witness.events(), 1);
        mine(3).save(folder.path());
        let off = Off {
            instance: [5, 6],
            pid: me.into(),
            start_ticks: proc_fs::stat(me).unwrap().start_ticks,
            pid_namespace: proc_fs::own_namespace(),
            reason: Reason::NoRoom as u64,
        };
        fs::write(folder.path().join(off.to_string()), "").unwrap();
        let (job, absent) = witness.end(&[]);
        let [process] = &job.processes[..] else { panic!("{:?}", job.notes) };
        assert_eq!(process.played.state.totals(0).reserved(), 4 << 20);
        assert_eq!(absent, [format!("process {me} uses CUDA and could not record")]);
        let newcomer = format!("rank 3 (pid {me}) began after the first request and is not judged");
        assert!(job.notes.contains(&newcomer), "{:?}", job.notes);
    }

    #[test]
    fn only_those_that_were_asked_for_are_followed() {
        let folder = tempfile::tempdir().unwrap();
        mine(1).save(folder.path());
        let me = std::process::id();
        let pids = |wanted: u32| Witness::begin(folder.path(), &[wanted]).unwrap().pids();
        assert_eq!((pids(me), pids(me + 1)), (vec![me], vec![]));
        assert!(Witness::begin(Path::new("/nonexistent"), &[]).unwrap().pids().is_empty());
    }
}
