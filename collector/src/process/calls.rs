//! Calls after which the driver may hold more or less for itself, in a way that no call tells.

use wire::record::{Record, Step, Verb};

use crate::state::Device;

/// Calls kept at least, the last ones: a program may load code for as long as it runs.
const KEPT: usize = 1 << 15;

/// One call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// `CLOCK_MONOTONIC`, ns.
    pub time: u64,
    /// Where.
    pub device: Device,
    /// What it did.
    pub step: Step,
}

/// The calls of a process, by time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calls(Vec<Call>);

impl Calls {
    /// Adds what a record tells of such a call.
    pub fn push(&mut self, record: &Record) {
        if record.verb != Verb::Called {
            return;
        }
        let Some(step) = Step::of(record.aux) else { return };
        let Self(calls) = self;
        if calls.len() == 2 * KEPT {
            calls.drain(..KEPT);
        }
        calls.push(Call { time: record.time, device: record.device, step });
    }

    /// How many did `step` on a device from `from` to `until`, `CLOCK_MONOTONIC`, ns.
    #[must_use]
    pub fn count(&self, device: Device, step: Step, from: u64, until: u64) -> u64 {
        let meant = |call: &&Call| {
            (call.device, call.step) == (device, step) && (from..=until).contains(&call.time)
        };
        self.0.iter().filter(meant).count() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::record::{Class, NO_STACK};

    fn record(time: u64, device: u8, aux: u64) -> Record {
        Record {
            time,
            address: 0,
            size: 0,
            aux,
            verb: Verb::Called,
            class: Class::None,
            api: 0,
            device,
            result: 0,
            tid: 1,
            flags: 0,
            native: NO_STACK,
            python: NO_STACK,
        }
    }

    #[test]
    fn calls_are_counted_by_what_they_did_where_and_when() {
        let mut calls = Calls::default();
        let loaded = Step::ModuleLoaded as u64;
        for (time, device, aux) in [(1, 0, loaded), (2, 0, loaded), (2, 1, loaded), (3, 0, 4)] {
            calls.push(&record(time, device, aux));
        }
        calls.push(&Record { verb: Verb::Capture, ..record(2, 0, loaded) });
        calls.push(&record(2, 0, 99));
        assert_eq!(calls.count(0, Step::ModuleLoaded, 2, 9), 1);
        assert_eq!(calls.count(0, Step::ModuleLoaded, 0, 9), 2);
        assert_eq!(calls.count(0, Step::ContextMade, 0, 9), 1);
    }

    #[test]
    fn of_very_many_calls_the_last_are_kept() {
        let mut calls = Calls::default();
        for time in 0..3 * KEPT as u64 {
            calls.push(&record(time, 0, 1));
        }
        assert!(calls.0.len() <= 2 * KEPT);
        assert_eq!(calls.count(0, Step::ModuleLoaded, 2 * KEPT as u64, u64::MAX), KEPT as u64);
    }
}
