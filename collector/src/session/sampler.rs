//! Roll-ups: least and greatest totals of each second, turnover of sites of each ten seconds.

use std::collections::BTreeMap;

use crate::{
    ledger::{Event, Instance},
    process::Observer,
    state::{Device, State},
    store::{Range, SampleRow, SiteSample, TotalsSample},
};

/// ns.
const SECOND: u64 = 1_000_000_000;
/// Seconds over which sites are rolled up.
const SITES: u64 = 10;

/// Rolls one process's events up.
#[derive(Debug)]
pub struct Sampler {
    instance: Instance,
    second: u64,
    totals: BTreeMap<Device, TotalsSample>,
    /// Figures after the last event: with them the next second begins.
    figures: BTreeMap<Device, [u64; 4]>,
    rows: Vec<SampleRow>,
}

impl Sampler {
    /// A sampler of `instance`.
    #[must_use]
    pub const fn new(instance: Instance) -> Self {
        Self {
            instance,
            second: 0,
            totals: BTreeMap::new(),
            figures: BTreeMap::new(),
            rows: Vec::new(),
        }
    }

    /// The rows that are whole.
    #[must_use]
    pub fn take(&mut self) -> Vec<SampleRow> {
        std::mem::take(&mut self.rows)
    }

    fn end_second(&mut self) {
        let totals = std::mem::take(&mut self.totals);
        self.rows.extend(totals.into_values().map(SampleRow::Totals));
    }

    fn end_sites(&mut self, state: &mut State) {
        let time = self.second / SITES * SITES * SECOND;
        let devices: Vec<Device> = state.devices().collect();
        for device in devices {
            for (site, turnover) in state.take_turnover(device) {
                self.rows.push(SampleRow::Site(SiteSample {
                    instance: self.instance,
                    device,
                    time,
                    stacks: (site.native, site.python),
                    births: turnover.births,
                    deaths: turnover.deaths,
                    live_bytes: state.site(device, site).bytes,
                }));
            }
        }
    }
}

impl Observer for Sampler {
    fn applied(&mut self, state: &mut State, event: &Event) {
        let second = event.record.time / SECOND;
        // Threads publish a little out of order: a second does not come back.
        if second > self.second {
            self.end_second();
            if second / SITES != self.second / SITES {
                self.end_sites(state);
            }
            self.second = second;
        }
        let device = event.record.device;
        let now = state.totals(device);
        let values = [
            now.allocated + now.pool_allocated,
            now.reserved(),
            now.allocated,
            now.allocator_reserved,
        ];
        let before = self.figures.insert(device, values).unwrap_or(values);
        let [allocated, reserved, torch_allocated, torch_reserved] = before.map(Range::of);
        let (instance, time) = (self.instance, self.second * SECOND);
        let sample = self.totals.entry(device).or_insert(TotalsSample {
            instance,
            device,
            time,
            allocated,
            reserved,
            torch_allocated,
            torch_reserved,
        });
        sample.allocated.widen(values[0]);
        sample.reserved.widen(values[1]);
        sample.torch_allocated.widen(values[2]);
        sample.torch_reserved.widen(values[3]);
    }

    fn closed(&mut self, state: &mut State) {
        self.end_second();
        self.end_sites(state);
    }
}

#[cfg(test)]
mod tests {
    use wire::record::{Class, Verb};

    use super::*;
    use crate::source::fake::record;

    #[test]
    fn a_second_has_its_extremes_and_ten_their_turnover() {
        let instance = Instance([1, 2]);
        let (mut sampler, mut state) = (Sampler::new(instance), State::default());
        let mut play = |verb, address, time| {
            let mut record = record(verb, Class::Block, address, 512, 7);
            record.time = time;
            let event = Event { position: 0, record, extra: None };
            state.apply(&event);
            sampler.applied(&mut state, &event);
        };
        play(Verb::Alloc, 0x1000, SECOND);
        play(Verb::Alloc, 0x2000, SECOND + 1);
        play(Verb::FreeBegin, 0x2000, SECOND + 2);
        play(Verb::Alloc, 0x3000, 2 * SECOND);
        play(Verb::FreeBegin, 0x3000, 11 * SECOND);
        let rows = sampler.take();
        let totals = |time, (least, greatest)| {
            let (blocks, held) = (Range { least, greatest }, Range::of(0));
            SampleRow::Totals(TotalsSample {
                instance,
                device: 0,
                time,
                allocated: blocks,
                reserved: held,
                torch_allocated: blocks,
                torch_reserved: held,
            })
        };
        let site = |time, births, deaths, live_bytes| {
            let (device, stacks) = (0, (0, 7));
            SampleRow::Site(SiteSample {
                instance,
                device,
                time,
                stacks,
                births,
                deaths,
                live_bytes,
            })
        };
        // The free at second 11 was applied before its second was seen to be new.
        assert_eq!(
            rows,
            [totals(SECOND, (512, 1024)), totals(2 * SECOND, (512, 1024)), site(0, 3, 2, 512)]
        );
        sampler.closed(&mut state);
        // What was held over the seconds without events counts when the next one comes.
        assert_eq!(sampler.take(), [totals(11 * SECOND, (512, 1024))]);
    }
}
