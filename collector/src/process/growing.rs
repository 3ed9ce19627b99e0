//! What was live at the end of a process's warm-up: what growth is measured from.

use std::collections::BTreeMap;

use super::{Observer, Player};
use crate::{
    ledger::{Event, Instance},
    phase::Spans,
    state::{Device, Site, State, Use},
};

/// Of a run's steps, or else of its time, one part in so many is warm-up,
const WARM_UP: u64 = 5;
/// and so many steps in any case.
const STEPS: u64 = 3;

/// That growth is asked for, and what is known of it.
#[derive(Clone, Debug, Default)]
pub struct Growing {
    /// How many sites of a process to tell of.
    pub most: usize,
    /// What was live at the end of each process's warm-up, where that is known.
    pub firsts: BTreeMap<Instance, First>,
}

/// What was live at a moment.
#[derive(Clone, Debug, Default)]
pub struct First {
    /// `CLOCK_MONOTONIC`, ns.
    pub time: u64,
    /// By site, on each device.
    pub sites: BTreeMap<Device, BTreeMap<Site, Use>>,
}

/// Nobody watches.
impl Observer for () {
    fn applied(&mut self, _: &mut State, _: &Event) {}
}

/// When a process's warm-up ended, `CLOCK_MONOTONIC` ns, by all that is known of its phases; `None`
/// if nothing is known of it. `player` has been closed.
#[must_use]
pub fn warm_up(player: &Player<Spans>) -> Option<u64> {
    let spans = player.seen();
    let steps = spans.steps();
    let warm = (steps.len() as u64).div_ceil(WARM_UP).max(STEPS);
    if let Some((_, span)) = steps.get(warm as usize - 1) {
        return Some(span.until);
    }
    let seen = spans.seen()?;
    let from = seen.from.max(player.known_since);
    Some(from + seen.until.saturating_sub(from) / WARM_UP)
}

impl First {
    /// What was live when `player`, which was to stop at `time` and has been closed, stopped.
    #[must_use]
    pub fn of(player: &Player<()>, time: u64) -> Self {
        let state = &player.state;
        Self { time, sites: state.devices().map(|device| (device, state.sites(device))).collect() }
    }
}

#[cfg(test)]
mod tests {
    use wire::{
        mark::{Kind, Mark},
        record::{Class, Verb},
    };

    use super::*;
    use crate::{ledger::Step, source::fake::record};

    fn event(record: wire::record::Record) -> Event {
        Event { position: 0, record, extra: None }
    }

    /// A player that has seen steps of 100 ns, and then a block after 1,000 more.
    fn played(steps: u64) -> Player<Spans> {
        let mut player = Player::<Spans>::default();
        for n in 0..steps {
            for (kind, time) in [(Kind::Begin, n * 100), (Kind::End, n * 100 + 99)] {
                let mark = Mark { kind, name: 1, number: Some(n), domain: 0, range: 0 };
                player.step(Step::Event(&event(mark.record(time, 7))));
            }
        }
        let mut last = record(Verb::Alloc, Class::Block, 0x1000, 512, 0);
        last.time = steps * 100 + 1_000;
        player.step(Step::Event(&event(last)));
        player.close();
        player
    }

    #[test]
    fn it_is_a_fifth_of_the_steps_and_at_least_three_else_of_the_time() {
        assert_eq!(warm_up(&Player::<Spans>::default()), None);
        // Ten numbers of one name are no steps yet: a fifth of 2,000 ns.
        assert_eq!(warm_up(&played(10)), Some(400));
        assert_eq!(warm_up(&played(100)), Some(1_999));
        assert_eq!(warm_up(&played(18)), Some(399), "four of 18");
    }

    #[test]
    fn what_was_live_then_is_told_by_site() {
        let mut player = Player::<()>::default();
        player.stop_at(Some(2_005));
        for (address, size) in [(1, 512), (5, 1024), (6, 4096)] {
            let mut taken = record(Verb::Alloc, Class::Block, address << 20, size, 9);
            taken.time = 2_000 + address;
            player.step(Step::Event(&event(taken)));
        }
        player.close();
        let first = First::of(&player, 2_005);
        let site = Site { native: 0, python: 9 };
        assert_eq!(first.sites[&0][&site], Use { bytes: 1536, blocks: 2 });
    }
}
