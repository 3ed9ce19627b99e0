//! A process of the job that used CUDA and could not record.

use std::path::PathBuf;

use wire::folder::Off;

use crate::{
    ledger::{End, Health, Identity},
    process::{Losses, end::Watch, proc_fs, redact, role},
    source::unrecorded,
    store::ProcessRow,
    sys,
};

/// What is known of it.
#[derive(Debug)]
pub struct Refused {
    path: PathBuf,
    identity: Identity,
    health: Health,
    watch: Watch,
}

impl Refused {
    /// The process that left the file at `path`, whose name says `off`.
    #[must_use]
    pub fn new(off: &Off, path: PathBuf) -> Self {
        let (mut identity, health) = unrecorded(off);
        let watch = Watch::new(&identity);
        identity.retitle(watch.pid().map(proc_fs::command).unwrap_or_default());
        Self { path, identity, health, watch }
    }

    /// Pid in our namespace, where it is known, and start time.
    #[must_use]
    pub fn key(&self) -> (u32, u64) {
        (self.watch.pid().unwrap_or(self.identity.pid), self.identity.start_ticks)
    }

    /// Tells it how it ended.
    pub fn tell(&mut self, end: End) {
        self.watch.tell(end);
    }

    /// Its row.
    #[must_use]
    pub fn row(&self) -> ProcessRow {
        let role = role::role(&self.identity.command, &self.identity.environment);
        let mut identity = self.identity.clone();
        identity.command = redact::arguments(&identity.command);
        ProcessRow {
            identity,
            pid: self.watch.pid(),
            health: self.health.clone(),
            gauges: Vec::new(),
            end: self.watch.end(0),
            role,
            apis: Vec::new(),
            losses: Losses::default(),
            time: sys::realtime(),
        }
    }

    /// The file it left.
    #[must_use]
    pub fn into_path(self) -> PathBuf {
        self.path
    }
}
