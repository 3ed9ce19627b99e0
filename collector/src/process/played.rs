//! A process's timeline played through: what it holds, and how it came to that.

use wire::record::{Class, Verb};

use crate::{
    ledger::{Event, Step},
    state::State,
};

/// Events that are kept at most until the live set that they lead to is known.
const MOST_HELD: usize = 1 << 19;

/// What playing a timeline through gives.
#[derive(Clone, Debug, Default)]
pub struct Played {
    /// What it holds.
    pub state: State,
    /// Times PyTorch's allocator gave up, oldest first.
    pub ooms: Vec<Event>,
    /// `CLOCK_MONOTONIC` since when its timeline is known, ns; 0 if from the beginning.
    pub known_since: u64,
    /// Events that were played.
    pub events: u64,
}

/// Plays a timeline, step by step.
///
/// After a loss nobody knows what is held, so the events after it are kept until a live set comes;
/// from it and from them follows what was held right after the loss, and then they are applied.
#[derive(Clone, Debug, Default)]
pub struct Player {
    played: Played,
    held: Option<Vec<Event>>,
}

impl Player {
    /// Plays one step.
    pub fn step(&mut self, step: Step<'_>) {
        match step {
            Step::Lost(_) => {
                self.held.get_or_insert_default();
            }
            Step::Event(event) => match &mut self.held {
                Some(held) if held.len() < MOST_HELD => held.push(*event),
                Some(_) => {
                    self.give_up_waiting();
                    self.apply(event);
                }
                None => self.apply(event),
            },
            Step::Live(live) => {
                if let Some(held) = self.held.take() {
                    if self.played.events == 0 {
                        self.played.known_since = held.first().map_or(0, |e| e.record.time);
                    }
                    self.played.state.resync_before(live, &held);
                    held.iter().for_each(|event| self.apply(event));
                }
                self.played.state.resync(live);
            }
        }
    }

    /// What is held as far as is known now.
    #[must_use]
    pub const fn state(&self) -> &State {
        &self.played.state
    }

    /// The end of the timeline.
    #[must_use]
    pub fn finish(mut self) -> Played {
        self.give_up_waiting();
        self.played
    }

    fn give_up_waiting(&mut self) {
        let held = self.held.take().unwrap_or_default();
        held.iter().for_each(|event| self.apply(event));
    }

    fn apply(&mut self, event: &Event) {
        self.played.events += 1;
        if (event.record.verb, event.record.class) == (Verb::OutOfMemory, Class::Block) {
            self.played.ooms.push(*event);
        }
        self.played.state.apply(event);
    }
}
