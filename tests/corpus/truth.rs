//! What is true of a leak, and whether it is there to be seen.

use crate::course::{Block, Course, Unit};

const MIB: f64 = 1024.0 * 1024.0;

/// A leak as it is.
#[derive(Clone, Copy, Debug)]
pub struct Truth {
    /// When the first block leaked.
    pub begin: f64,
    /// At least ten blocks, half a MiB a minute or 64 KiB a step, begun in the first half of the run.
    pub observable: bool,
}

/// What leaks of a course, if anything does.
pub fn truth(course: &Course, unit: Unit) -> Option<Truth> {
    let blocks = course.blocks.iter().filter(|block| block.leaked && block.born < unit.run());
    let begin = blocks.clone().map(|block| block.born).reduce(f64::min)?;
    let bytes = blocks.clone().map(|block| block.bytes as f64).sum::<f64>();
    let rate = bytes / (unit.run() - begin) * unit.of_rate();
    let floor = if unit == Unit::Seconds { MIB / 2.0 } else { MIB / 16.0 };
    let observable = blocks.count() >= 10 && rate >= floor && begin <= unit.run() / 2.0;
    Some(Truth { begin, observable })
}

/// What leaked of a course from `from` on, until the run's end: bytes in a minute or a step.
pub fn rate(course: &Course, unit: Unit, from: f64) -> f64 {
    let since = |block: &&Block| block.leaked && (from..unit.run()).contains(&block.born);
    let bytes: u64 = course.blocks.iter().filter(since).map(|block| block.bytes).sum();
    bytes as f64 / (unit.run() - from) * unit.of_rate()
}
