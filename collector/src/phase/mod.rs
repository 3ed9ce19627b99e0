//! Phases: named stretches of a process's own time, and what memory did in each.
//!
//! ```text
//! Mark slots ──▶ open     which phases are open, and which mark ends which
//! Block slots ─▶ course   what was held since each open phase began: peak, sites, survivors
//!                  ├───▶ told      per name, once a phase has ended
//!                  ├───▶ stepping  which of them is the run's step, and when each began
//!                  └───▶ sleeps    what was held in those whose name says that it gives memory back
//! ```
//!
//! The rules, for marks that do not fit together:
//! * A name ends the phase of that name that its thread began last; what the thread began by name
//!   inside of it ends with it, and counts as *unended*. A pop ends what its thread pushed last in
//!   its domain, a stop the range of its number.
//! * An end that finds nothing to end is counted, and ends nothing.
//! * Where slots were lost, every open phase is *cut*: nobody knows what happened in it, so it is
//!   counted and nothing else of it is told. So is a phase while too many are open.
//! * A phase that is open at the end of the timeline tells its peak, and nothing of its end.

mod asleep;
mod course;
mod open;
mod sleeps;
#[cfg(test)]
mod sleeps_tests;
mod spans;
mod stepping;
mod steps;
#[cfg(test)]
mod tests;
mod told;

pub use asleep::{Sleep, sleep};
pub use sleeps::{Held, HeldBy, Slept};
pub use spans::{Span, Spans};
pub use stepping::Stepping;
pub use steps::{Steps, steps};
pub use told::{Moment, Name, OnDevice, Told};

use std::collections::BTreeMap;

use wire::{
    mark::{Kind, Mark, NAME_BYTES, NAME_LOST, NO_NAME},
    record::{Class, Record, Verb},
};

use crate::{
    ledger::{Event, Tables},
    state::{Device, State},
};
use {course::Course, open::Open, sleeps::Sleeps};

/// Phases that are followed at once; more than that are counted and not followed.
const FOLLOWED: usize = 1024;
/// Phases that are open at most. A program that goes on beginning without ending loses them all.
const MOST_OPEN: usize = 1 << 16;

/// The phases of one process.
#[derive(Clone, Debug, Default)]
pub struct Phases {
    open: Open,
    courses: BTreeMap<Device, Course>,
    /// Begins so far: the number of a stretch of time.
    begun: u64,
    /// Whether a mark was seen; without one nothing is kept.
    marked: bool,
    /// Whether what is held is not known, because slots were lost.
    lost: bool,
    followed: usize,
    told: Told,
    stepping: Stepping,
    sleeps: Sleeps,
}

impl Phases {
    /// Tells what the ids of names stand for, as far as that is needed before the end.
    pub fn learn(&mut self, tables: &Tables) {
        self.sleeps.learn(tables);
    }

    /// `event` is about to be applied to `state`.
    pub fn coming(&mut self, state: &State, event: &Event) {
        self.sleeps.coming(state, &event.record);
    }

    /// `event` has just been applied to `state`.
    pub fn applied(&mut self, state: &State, event: &Event) {
        let record = &event.record;
        if let Some(mark) = Mark::of(record) {
            if !std::mem::replace(&mut self.marked, true) && !self.lost {
                self.begin_courses(state);
            }
            self.mark(state, &mark, record);
            return;
        }
        if !self.lost {
            self.sleeps.applied(state, record);
        }
        if !self.marked || self.lost || record.class == Class::None {
            return;
        }
        let begun = self.begun;
        let course = self.courses.entry(record.device).or_insert_with(|| Course::new(begun));
        match (record.verb, record.class) {
            (Verb::Alloc, Class::Block) => course.born(begun, record),
            (Verb::FreeBegin, Class::Block) => course.died(record.address),
            _ => {}
        }
        course.settle(state.totals(record.device).reserved(), record.time);
    }

    /// The steps so far.
    #[must_use]
    pub const fn stepping(&self) -> &Stepping {
        &self.stepping
    }

    /// Slots were lost: what is held is not known from here on.
    pub fn lost(&mut self) {
        self.lost = true;
        // What began since an earlier loss may have ended in this one.
        self.cut();
    }

    /// Events of blocks are missing from here on: marks go on, what is held is not known.
    pub fn incomplete(&mut self) {
        if !self.lost {
            self.lost();
        }
    }

    /// `state` is what was held right after the loss.
    pub fn found(&mut self, state: &State) {
        self.lost = false;
        if self.marked {
            self.begin_courses(state);
        }
    }

    /// `state` is as the live table says, which ends a loss for whose end nobody waited any longer.
    pub fn resynced(&mut self, state: &State) {
        if self.lost {
            self.found(state);
        }
    }

    /// The end of the timeline, which led to `state`.
    #[must_use]
    pub fn finish(mut self, state: &State) -> Told {
        self.told.sleeps = self.sleeps.finish(state);
        for begun in self.open.take_all() {
            let told = self.told.name(begun.name);
            told.open += 1;
            told.since(begun.time);
            if let Some(stretch) = begun.stretch {
                for (device, course) in &self.courses {
                    told.peak(*device, course.since(stretch));
                }
            }
        }
        self.told
    }

    fn begin_courses(&mut self, state: &State) {
        self.courses.clear();
        for (device, address, size, site) in state.blocks() {
            let begun = self.begun;
            let course = self.courses.entry(device).or_insert_with(|| Course::new(begun));
            course.held(address, size, site);
        }
        for device in state.devices() {
            let begun = self.begun;
            let course = self.courses.entry(device).or_insert_with(|| Course::new(begun));
            course.settle(state.totals(device).reserved(), state.now());
        }
    }

    fn mark(&mut self, state: &State, mark: &Mark, record: &Record) {
        let Record { tid, time, .. } = *record;
        match mark.kind {
            Kind::Point => {
                self.told.moment((mark.name, mark.number), time);
                if !self.lost {
                    self.sleeps.mark(state, mark.name, time);
                }
            }
            Kind::Begin | Kind::Push | Kind::Start => self.begin(state, mark, tid, time),
            Kind::End | Kind::Pop | Kind::Stop => self.end(state, mark, tid, time),
        }
    }

    fn begin(&mut self, state: &State, mark: &Mark, thread: u32, time: u64) {
        if self.open.count() == MOST_OPEN {
            self.cut();
        }
        let follow = !self.lost && self.followed < FOLLOWED;
        let stretch = follow.then(|| {
            self.begun += 1;
            self.followed += 1;
            let begun = self.begun;
            self.courses.values_mut().for_each(|course| course.begin(begun));
            self.sleeps.begin(state, begun, mark.name, time);
            begun
        });
        self.stepping.began((mark.name, mark.number), time);
        if let Some(replaced) = self.open.begin(mark, thread, time, stretch) {
            self.told.name(replaced.name).cut += 1;
            if let Some(stretch) = replaced.stretch {
                self.sleeps.forget(stretch);
                self.leave(stretch);
            }
        }
    }

    fn end(&mut self, state: &State, mark: &Mark, thread: u32, time: u64) {
        let ended = self.open.end(mark, thread);
        if ended.is_empty() {
            self.told.ends_without_begin += 1;
            return;
        }
        let last = ended.len() - 1;
        for (at, begun) in ended.into_iter().enumerate() {
            let told = self.told.name(begun.name);
            let Some(stretch) = begun.stretch else {
                told.cut += 1;
                continue;
            };
            told.ended(begun.time, time);
            told.unended += u64::from(at < last);
            for (device, course) in &self.courses {
                let since = course.since(stretch);
                told.peak(*device, since);
                told.survived(*device, since.survived());
            }
            self.sleeps.end(state, stretch);
            self.leave(stretch);
        }
        self.stepping.ended(&self.told);
    }

    /// What came about in a stretch counts for the phase around it from now on.
    fn leave(&mut self, stretch: u64) {
        self.followed -= 1;
        let is_first = self.open.first_stretch().is_none_or(|first| first > stretch);
        self.courses.values_mut().for_each(|course| course.leave(stretch, is_first));
    }

    fn cut(&mut self) {
        for begun in self.open.take_all() {
            self.told.name(begun.name).cut += 1;
        }
        self.followed = 0;
        self.sleeps.cut();
        self.courses.values_mut().for_each(Course::forget);
    }
}

/// Id of a name, and the number at its end.
type NameId = (u32, Option<u64>);

/// The text of a name's id, where `tables` are its process's.
#[must_use]
pub fn text(tables: &Tables, id: u32) -> String {
    match (id, tables.codes.get(&id)) {
        (NO_NAME, _) => "(no name)".to_owned(),
        (NAME_LOST, _) => "(name lost)".to_owned(),
        (_, None) => "(name not known)".to_owned(),
        // Of an honest process it is not longer, nor empty where it could be seen.
        (_, Some(code)) => code.name.chars().take(NAME_BYTES).collect(),
    }
}
