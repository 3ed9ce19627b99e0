//! How what a process holds on a device went.

use super::Subject;
use crate::{
    detect::{
        growth::Verdict,
        thresholds::{BY_STEPS, BY_TIME},
    },
    present::report::{Course, Direction, Trend},
    process::Unit,
    state::Device,
};

pub(super) fn trend(subject: &Subject<'_>, device: Device) -> Option<Trend> {
    let trend = subject.process.played.trends.get(&device)?;
    let (unit, windows) = match trend.unit {
        Unit::Time => ("minute", BY_TIME),
        Unit::Step => ("step", BY_STEPS),
    };
    let course = |verdict: Verdict, since: Option<u64>| {
        let (verdict, bytes) = match verdict {
            Verdict::NotEnough => (Direction::NotEnough, None),
            Verdict::Level => (Direction::Level, None),
            Verdict::Growing(growing) => (Direction::Growing, Some(growing.bytes)),
            Verdict::Step { bytes, .. } => (Direction::Step, Some(bytes)),
            Verdict::Saturating => (Direction::Saturating, None),
            Verdict::Periodic { .. } => (Direction::Periodic, None),
        };
        Course { verdict, bytes, since_ns: since.map(|at| subject.identity().realtime(at)) }
    };
    Some(Trend {
        unit: unit.to_owned(),
        units: trend.units,
        enough: windows.alert / windows.unit,
        allocated: course(trend.allocated, trend.since[0]),
        reserved: course(trend.reserved, trend.since[1]),
    })
}
