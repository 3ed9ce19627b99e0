//! When a device's memory is used up by what grows on it.
//!
//! ```text
//!          what is free on the device + what its allocator holds beyond the most that it ever lent
//! time  =  ──────────────────────────────────────────────────────────────────────────────────────
//!                          the rate, at its upper and at its lower limit
//! ```
//!
//! Told only where a rule says that it grows, never from a slope alone.

use std::collections::BTreeMap;

use super::place::Place;
use crate::present::{
    report::{Exhaustion, Gpu, Rate},
    text::{clock, duration},
    total,
};

/// ns in an hour.
const HOUR: u128 = 3_600_000_000_000;
/// Later than that nobody can tell, ns: a week.
const FAR: u64 = 7 * 24 * 3_600_000_000_000;
/// From so far on the time of day says nothing, ns.
const A_DAY: u64 = 24 * 3_600_000_000_000;

/// What grows, and how fast.
pub(super) struct Demand<'a> {
    pub place: Place<'a>,
    pub rate: Rate,
}

/// When the first of the devices that running processes' demands are on is full; `None` where none
/// will be within a week.
pub(super) fn when(as_of: u64, gpus: &[Gpu], demands: Vec<Demand<'_>>) -> Option<Exhaustion> {
    let mut by_gpu: BTreeMap<&str, (u64, u64, u64)> = BTreeMap::new();
    for Demand { place, rate } in demands.iter().filter(|demand| demand.place.is_running()) {
        let (low, high, spare) = by_gpu.entry(&place.device.uuid).or_default();
        *low = low.saturating_add(rate.low);
        *high = high.saturating_add(rate.high);
        *spare = spare.saturating_add(place.torch().map_or(0, |torch| {
            torch.reserved_bytes.saturating_sub(torch.peak_allocated_bytes.unwrap_or(u64::MAX))
        }));
    }
    let times = by_gpu.into_iter().filter_map(|(uuid, (low, high, spare))| {
        let gpu = gpus.iter().find(|gpu| gpu.uuid == uuid)?;
        let room = free(gpu)?.saturating_add(spare);
        let earliest = time(room, high).filter(|time| *time <= FAR)?;
        let latest = time(room, low).filter(|time| *time <= FAR);
        Some((earliest, latest))
    });
    let (earliest, latest) = times.min()?;
    Some(Exhaustion {
        earliest_ns: as_of.saturating_add(earliest),
        latest_ns: latest.map(|latest| as_of.saturating_add(latest)),
    })
}

/// ns until so many bytes are gone at so many an hour.
fn time(bytes: u64, hourly: u64) -> Option<u64> {
    let time = (u128::from(bytes) * HOUR).checked_div(u128::from(hourly))?;
    Some(u64::try_from(time).unwrap_or(u64::MAX))
}

/// Bytes free on a GPU: by NVML, else what the traced processes have not reserved.
fn free(gpu: &Gpu) -> Option<u64> {
    let reserved = total(gpu.processes.iter().map(|process| process.reserved_bytes));
    let used = gpu.nvml_used_bytes.unwrap_or(reserved);
    (gpu.total_bytes > 0).then(|| gpu.total_bytes.saturating_sub(used))
}

/// The same for a person, to be put behind other sentences.
pub(super) fn sentence(as_of: u64, exhausted: Option<Exhaustion>) -> String {
    let Some(Exhaustion { earliest_ns, latest_ns }) = exhausted else { return String::new() };
    let until = |time: u64| time.saturating_sub(as_of);
    let in_so_long = |time: u64| format!("in {}", duration(until(time)));
    let at =
        |time: u64| if until(time) < A_DAY { format!(" ({})", clock(time)) } else { String::new() };
    let first = in_so_long(earliest_ns) + &at(earliest_ns);
    let told = match latest_ns {
        None => format!("{first} at the earliest"),
        Some(latest) if in_so_long(latest) == in_so_long(earliest_ns) => first,
        Some(latest) => format!("{first} to {}{}", duration(until(latest)), at(latest)),
    };
    format!(" At this rate the device's memory is used up {told}.")
}
