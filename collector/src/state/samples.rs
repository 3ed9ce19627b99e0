//! The timeline rolled up: least and greatest totals of each second, turnover of each site in each
//! ten seconds. Small enough to keep for days, when block events are not.
//!
//! The clock is the events': a stretch ends with the first event after it. Stretches without an
//! event have no sample; totals and live bytes are then as the last sample before them left off.

use std::collections::BTreeMap;

use super::{Device, Site, State};
use crate::ledger::Event;

/// Length of the stretches totals are rolled up over, ns.
const SECOND: u64 = 1_000_000_000;
/// Length of the stretches sites are rolled up over, ns.
const TEN_SECONDS: u64 = 10 * SECOND;
/// Sites sampled per device and stretch: those with most live bytes. A program has thousands of
/// sites at its start and tens afterwards.
const MOST_SITES: usize = 256;
/// Samples kept for whoever takes them; the oldest go first.
const KEPT: usize = 1 << 16;

/// One stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sample {
    /// A second of a device.
    Totals {
        /// Which.
        device: Device,
        /// Begin of the second, ns of `CLOCK_MONOTONIC`.
        time: u64,
        /// Least and greatest bytes in blocks: PyTorch's and those of pools.
        allocated: (u64, u64),
        /// Least and greatest physical bytes.
        reserved: (u64, u64),
    },
    /// Ten seconds of a site.
    Site {
        /// On this device.
        device: Device,
        /// Begin of the ten seconds, ns of `CLOCK_MONOTONIC`.
        time: u64,
        /// Which.
        site: Site,
        /// Blocks taken.
        births: u64,
        /// Blocks given back.
        deaths: u64,
        /// Bytes live at the end.
        live: u64,
    },
}

/// Least and greatest value of a stretch.
type Range = (u64, u64);

fn add(range: &mut Range, value: u64) {
    *range = (range.0.min(value), range.1.max(value));
}

/// Rolls up while it applies.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    /// Number of the second, and of the ten, the last event fell into.
    second: u64,
    ten: u64,
    /// Allocated and reserved of each device in that second. A device is there while it has
    /// events in the second.
    open: BTreeMap<Device, (Range, Range)>,
    done: Vec<Sample>,
}

impl Samples {
    /// Applies an event to the state and takes note of it.
    pub fn apply(&mut self, state: &mut State, event: &Event) {
        let (time, device) = (event.record.time, event.record.device);
        // Threads write down their times before they get their slot: a little out of order.
        if time / SECOND > self.second {
            self.end_second();
            self.second = time / SECOND;
        }
        if time / TEN_SECONDS > self.ten {
            self.end_ten(state);
            self.ten = time / TEN_SECONDS;
        }
        let before = figures(state, device);
        state.apply(event);
        let after = figures(state, device);
        let begin = ((before.0, before.0), (before.1, before.1));
        let (allocated, reserved) = self.open.entry(device).or_insert(begin);
        add(allocated, after.0);
        add(reserved, after.1);
    }

    /// The samples of stretches that have ended since this was asked last.
    pub fn take(&mut self) -> Vec<Sample> {
        std::mem::take(&mut self.done)
    }

    /// Ends the stretches under way: nothing more will come.
    pub fn end(&mut self, state: &mut State) {
        self.end_second();
        self.end_ten(state);
    }

    fn end_second(&mut self) {
        let time = self.second * SECOND;
        for (device, (allocated, reserved)) in std::mem::take(&mut self.open) {
            self.push(Sample::Totals { device, time, allocated, reserved });
        }
    }

    fn end_ten(&mut self, state: &mut State) {
        let time = self.ten * TEN_SECONDS;
        for device in state.devices().collect::<Vec<_>>() {
            let mut sites: Vec<_> = state
                .take_turnover(device)
                .into_iter()
                .map(|(site, turnover)| (state.site(device, site).bytes, site, turnover))
                .collect();
            sites.sort_unstable_by_key(|(live, site, _)| (std::cmp::Reverse(*live), *site));
            for (live, site, turnover) in sites.into_iter().take(MOST_SITES) {
                let (births, deaths) = (turnover.births, turnover.deaths);
                self.push(Sample::Site { device, time, site, births, deaths, live });
            }
        }
    }

    fn push(&mut self, sample: Sample) {
        if self.done.len() == KEPT {
            self.done.drain(..KEPT / 2);
        }
        self.done.push(sample);
    }
}

fn figures(state: &State, device: Device) -> (u64, u64) {
    let totals = state.totals(device);
    (totals.allocated + totals.pool_allocated, totals.reserved())
}

#[cfg(test)]
mod tests {
    use wire::record::Class::{Block, Linear};

    use super::*;
    use crate::state::testing::{MIB, STEP, Script};

    fn samples(script: &Script, times: &[u64]) -> Vec<Sample> {
        let (mut samples, mut state) = (Samples::default(), State::default());
        for (event, time) in script.events.iter().zip(times) {
            let mut event = *event;
            event.record.time = *time;
            samples.apply(&mut state, &event);
        }
        samples.end(&mut state);
        samples.take()
    }

    fn totals(samples: &[Sample]) -> Vec<(u64, (u64, u64), (u64, u64))> {
        let totals = samples.iter().filter_map(|sample| match *sample {
            Sample::Totals { time, allocated, reserved, .. } => {
                let mib = |range: (u64, u64)| (range.0 / MIB, range.1 / MIB);
                Some((time / SECOND, mib(allocated), mib(reserved)))
            }
            Sample::Site { .. } => None,
        });
        totals.collect()
    }

    #[test]
    fn a_second_begins_where_the_one_before_it_ended() {
        let mut script = Script::default();
        script.take(Linear, 100 * MIB, 20 * MIB).take(Block, 100 * MIB, 5 * MIB);
        script.take(Block, 110 * MIB, 3 * MIB).give(Block, 100 * MIB, 5 * MIB);
        let times = [SECOND, SECOND + 1, 7 * SECOND, 7 * SECOND + 1];
        let seen = totals(&samples(&script, &times));
        assert_eq!(seen, [(1, (0, 5), (0, 20)), (7, (3, 8), (20, 20))]);
    }

    #[test]
    fn a_site_is_sampled_when_something_came_or_went() {
        let mut script = Script { python: 1, ..Script::default() };
        script.take(Linear, 100 * MIB, 20 * MIB).take(Block, 100 * MIB, 5 * MIB);
        script.take(Block, 110 * MIB, 3 * MIB);
        script.python = 2;
        script.take(Block, 115 * MIB, MIB);
        script.python = 1;
        script.give(Block, 110 * MIB, 3 * MIB);
        let times = [1, 2, 3, TEN_SECONDS, 2 * TEN_SECONDS + 1];
        let sites: Vec<_> = samples(&script, &times)
            .into_iter()
            .filter_map(|sample| match sample {
                Sample::Site { time, site, births, deaths, live, .. } => {
                    Some((time / TEN_SECONDS, site.python, births, deaths, live / MIB))
                }
                Sample::Totals { .. } => None,
            })
            .collect();
        assert_eq!(sites, [(0, 1, 2, 0, 8), (1, 2, 1, 0, 1), (2, 1, 0, 1, 5)]);
    }

    #[test]
    fn samples_nobody_takes_are_bounded() {
        let mut script = Script::default();
        script.take(Linear, 100 * MIB, 20 * MIB);
        let event = script.events[0];
        let (mut samples, mut state) = (Samples::default(), State::default());
        for second in 0..3 * KEPT as u64 {
            let mut event = event;
            event.record.time = second * STEP;
            samples.apply(&mut state, &event);
        }
        let taken = samples.take();
        assert!(taken.len() <= KEPT && taken.len() >= KEPT / 2);
    }
}
