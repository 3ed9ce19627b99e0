//! The drain thread: finds rings, drains them, looks around once a second, and ends the trace.

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::{
    Progress,
    bystanders::Bystanders,
    gpus::Watcher,
    pace,
    refused::Refused,
    sink::{Item, Sink},
    traced::Traced,
};
use crate::{
    ledger::End,
    outside::Reader,
    process::replaced,
    source::{Damage, offs, rings},
};

/// How long descendants that recorded may outlive the command before the trace ends without them.
const PATIENCE: Duration = Duration::from_secs(2);
/// The same for those that never used CUDA: helpers that end because the command did.
const BYSTANDERS_PATIENCE: Duration = Duration::from_millis(500);

/// What the thread that waits for processes knows.
#[derive(Debug)]
pub enum News {
    /// A process ended.
    Ended {
        /// Its pid.
        pid: u32,
        /// Its start time, clock ticks since boot.
        start_ticks: u64,
        /// How.
        end: End,
    },
    /// The command has ended.
    Over,
}

/// What the drain thread owns.
pub struct Drainer<P> {
    rings: Option<PathBuf>,
    news: Receiver<News>,
    sink: Sink,
    progress: P,
    over: Option<Instant>,
    traced: Vec<Traced>,
    refused: Vec<Refused>,
    /// Files that were dealt with.
    known: HashSet<PathBuf>,
    /// Rings whose process has not finished making them.
    starting: HashSet<PathBuf>,
    bystanders: Bystanders,
    marks: Option<Reader>,
    /// How children of ours ended, by pid and start time: their rings may be found only after that.
    ended: HashMap<(u32, u64), End>,
    gpus: Option<Watcher>,
    /// Counts of processes that have ended.
    past: Progress,
    /// Pids and start times of processes that used CUDA.
    seen: Vec<(u32, u64)>,
}

impl<P: FnMut(Progress)> Drainer<P> {
    /// A drainer of the rings in `rings`.
    pub fn new(rings: Option<PathBuf>, news: Receiver<News>, sink: Sink, progress: P) -> Self {
        Self {
            marks: rings.clone().map(Reader::new),
            rings,
            news,
            sink,
            progress,
            over: None,
            traced: Vec::new(),
            refused: Vec::new(),
            known: HashSet::new(),
            starting: HashSet::new(),
            bystanders: Bystanders::default(),
            ended: HashMap::new(),
            gpus: None,
            past: Progress::default(),
            seen: Vec::new(),
        }
    }

    /// Drains until the command is over and nobody records any more; what went wrong with the
    /// trace, if anything did.
    pub fn run(mut self) -> Option<String> {
        let mut looked: Option<Instant> = None;
        let mut drained = Instant::now();
        loop {
            self.discover();
            let took = drained.elapsed();
            drained = Instant::now();
            let wait = self.drain(took);
            if looked.is_none_or(|at| at.elapsed() >= pace::LOOK) {
                looked = Some(Instant::now());
                self.look();
            }
            if self.over.is_some_and(|since| self.is_done(since.elapsed())) {
                return self.close();
            }
            match self.news.recv_timeout(wait) {
                Ok(news) => self.hear(news),
                Err(RecvTimeoutError::Timeout) => {}
                // Whoever would tell us that it is over is gone.
                Err(RecvTimeoutError::Disconnected) => self.over = Some(Instant::now()),
            }
        }
    }

    fn is_done(&self, since_over: Duration) -> bool {
        let quiet = self.bystanders.are_gone() || since_over >= BYSTANDERS_PATIENCE;
        (self.traced.is_empty() && quiet) || since_over >= PATIENCE
    }

    fn hear(&mut self, news: News) {
        match news {
            News::Ended { pid, start_ticks, end } => {
                let key = (pid, start_ticks);
                self.ended.insert(key, end);
                self.bystanders.tell(key, end);
                self.traced.iter_mut().filter(|t| t.key() == key).for_each(|t| t.tell(end));
                self.refused.iter_mut().filter(|r| r.key() == key).for_each(|r| r.tell(end));
            }
            News::Over => self.over = Some(Instant::now()),
        }
    }

    fn discover(&mut self) {
        let Some(folder) = &self.rings else { return };
        let mut new = false;
        for found in rings(folder).unwrap_or_default() {
            if self.known.contains(&found.path) {
                continue;
            }
            match Traced::open(&found.path) {
                Ok(mut traced) => {
                    // A job that never uses CUDA does not wake the GPUs either.
                    self.gpus.get_or_insert_with(|| Watcher::start(self.sink.sender()));
                    if let Some(end) = self.ended.get(&traced.key()) {
                        traced.tell(*end);
                    }
                    // Who it is comes before what it did. A ring that is gone again is noticed, and
                    // told of, by its first drain.
                    let _ = traced.look(&self.sink);
                    self.seen.push(traced.key());
                    self.traced.push(traced);
                    new = true;
                }
                // It will be ready in a moment; or never, which is said at the end.
                Err(Damage::Starting) => {
                    self.starting.insert(found.path);
                    continue;
                }
                Err(damage) => {
                    self.sink.send(Item::Note(format!("{} {damage}", found.path.display())));
                }
            }
            self.starting.remove(&found.path);
            self.known.insert(found.path);
        }
        if new {
            // The process of an older image lives on, as another program.
            let gone = replaced(self.traced.iter().map(Traced::identity));
            let gone = |traced: &&mut Traced| gone.contains(&traced.identity().instance);
            self.traced.iter_mut().filter(gone).for_each(|traced| traced.tell(End::Ended));
        }
    }

    /// Drains every ring once; how long to wait before the next time.
    fn drain(&mut self, took: Duration) -> Duration {
        let mut wait = pace::IDLE;
        let mut ended = Vec::new();
        for (i, traced) in self.traced.iter_mut().enumerate() {
            match traced.step(&self.sink) {
                Ok(progress) => {
                    let slots = traced.ring().layout().slots;
                    wait = wait.min(pace::wait(slots, progress.advanced, took));
                    ended.extend(traced.is_finished().then_some(i));
                }
                Err(damage) => {
                    let path = traced.ring().path().display();
                    self.sink.send(Item::Note(format!("{path} {damage}")));
                    ended.push(i);
                }
            }
        }
        if !ended.is_empty() {
            // How a child of ours ended is told before it is gone.
            while let Ok(news) = self.news.try_recv() {
                self.hear(news);
            }
        }
        for i in ended.into_iter().rev() {
            let traced = self.traced.swap_remove(i);
            self.part(traced);
        }
        wait
    }

    /// The last word about a process that has ended.
    fn part(&mut self, mut traced: Traced) {
        let _ = traced.look_for_the_last_time(&self.sink);
        traced.count(&mut self.past);
        if traced.is_finished() {
            self.sink.send(Item::Remove(traced.ring().path().to_owned()));
        }
    }

    fn look(&mut self) {
        for traced in &mut self.traced {
            // What cannot be read is noticed by the next drain, and said there.
            let _ = traced.look(&self.sink);
        }
        self.look_for_refused();
        for line in self.marks.iter_mut().flat_map(Reader::news) {
            self.sink.send(Item::Mark(line.into()));
        }
        self.bystanders.look();
        let mut progress = Progress { processes: self.traced.len(), ..self.past };
        self.traced.iter().for_each(|traced| traced.count(&mut progress));
        for gauges in self.traced.iter().flat_map(Traced::gauges) {
            progress.reserved += gauges.reserved;
            progress.allocated += gauges.allocated;
        }
        (self.progress)(progress);
    }

    fn look_for_refused(&mut self) {
        let Some(folder) = &self.rings else { return };
        for (off, found) in offs(folder).unwrap_or_default() {
            if self.known.insert(found.path.clone()) {
                let refused = Refused::new(&off, found.path);
                self.seen.push(refused.key());
                self.refused.push(refused);
            }
        }
    }

    fn close(mut self) -> Option<String> {
        self.look();
        let running = self.traced.len();
        for traced in &mut self.traced {
            if let Err(damage) = traced.close(&self.sink) {
                let path = traced.ring().path().display();
                self.sink.send(Item::Note(format!("{path} {damage}")));
            }
        }
        if running > 0 {
            let text = format!("{running} processes still recorded when tracing ended");
            self.sink.send(Item::Note(text));
        }
        for path in &self.starting {
            self.sink.send(Item::Note(format!("{} {}", path.display(), Damage::Starting)));
        }
        if let Some(trouble) = self.marks.and_then(Reader::into_trouble) {
            self.sink.send(Item::Note(trouble));
        }
        for refused in self.refused {
            self.sink.send(Item::Process(Box::new(refused.row())));
            self.sink.send(Item::Remove(refused.into_path()));
        }
        for bystander in self.bystanders.finish(&self.seen) {
            self.sink.send(Item::Bystander(Box::new(bystander)));
        }
        self.sink.finish()
    }
}
