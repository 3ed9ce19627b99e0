//! How what a process holds on a device went.

use super::{Subject, sites::SiteBook};
use crate::{
    detect::growth::Verdict,
    present::report::{Course, Direction, Trend},
    process,
    state::Device,
};

pub(super) fn trend(
    subject: &mut Subject<'_>,
    book: &mut SiteBook,
    device: Device,
) -> Option<Trend> {
    let process = subject.process;
    let trend = process.played.trends.get(&device)?;
    let windows = trend.unit.windows();
    let mut course = |course: &process::Course| {
        let (verdict, bytes) = match course.verdict {
            Verdict::NotEnough => (Direction::NotEnough, None),
            Verdict::Level => (Direction::Level, None),
            Verdict::Growing(growing) => (Direction::Growing, Some(growing.bytes)),
            Verdict::Step { bytes, .. } => (Direction::Step, Some(bytes)),
            Verdict::Saturating => (Direction::Saturating, None),
            Verdict::Periodic { .. } => (Direction::Periodic, None),
        };
        let since_ns = course.since.map(|at| subject.identity().realtime(at));
        let site = course.most.map(|(site, _)| book.id(subject, site));
        Course { verdict, bytes, since_ns, site }
    };
    Some(Trend {
        unit: trend.unit.name().to_owned(),
        units: trend.units,
        enough: windows.alert / windows.unit,
        allocated: course(&trend.allocated),
        reserved: course(&trend.reserved),
    })
}
