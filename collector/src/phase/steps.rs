//! Steps: the repeated phase that tiles the run.

use std::collections::BTreeMap;

use super::Name;

/// Fewer repetitions than that are no rhythm: a run's few large parts, say.
const DEFAULT_LEAST: u64 = 5;
/// Steps follow one another with little in between: parts of the time from the first one's begin to
/// the last one's end, in per cent, that are in a step.
const DEFAULT_TILED: u64 = 80;
/// Of the time in which anything was marked, in per cent, that the steps span: a warm-up that
/// repeats something, too, is not the run.
const DEFAULT_SPANNED: u64 = 50;

/// The steps of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Steps {
    /// Name of the phase.
    pub name: String,
    /// How many have ended.
    pub count: u64,
}

/// The phase that is the run's step: of those that tile it, the one that takes longest, because what
/// is inside of it tiles the run as well. `None` if nothing does.
#[must_use]
pub fn steps(names: &BTreeMap<String, Name>) -> Option<Steps> {
    let (name, phase) = tiling(names.iter())?;
    Some(Steps { name: name.clone(), count: phase.count })
}

/// The same of phases that are told apart by whatever comes with them.
pub(super) fn tiling<'a, K>(
    phases: impl Iterator<Item = (K, &'a Name)> + Clone,
) -> Option<(K, &'a Name)> {
    let names = || phases.clone().map(|(_, name)| name);
    let begin = names().filter_map(|name| name.first).min()?;
    let end = names().map(|name| name.last).max()?;
    let run = end.saturating_sub(begin);
    let tiles = |name: &Name| {
        let span = name.last.saturating_sub(name.first.unwrap_or(name.last));
        // More time in phases than there was: several at once, in as many threads.
        name.count >= DEFAULT_LEAST
            && name.time <= span
            && share(name.time, span) >= DEFAULT_TILED
            && share(span, run) >= DEFAULT_SPANNED
    };
    let candidates = phases.clone().filter(|(_, name)| tiles(name));
    candidates.max_by_key(|(_, name)| name.time / name.count)
}

fn share(part: u64, whole: u64) -> u64 {
    if whole == 0 { 0 } else { (u128::from(part) * 100 / u128::from(whole)) as u64 }
}
