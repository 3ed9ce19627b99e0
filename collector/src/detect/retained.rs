//! Retained at boundaries: blocks of a step that outlive the steps after it, step by step.
//!
//! Very strong where steps are marked, as in a test that runs a few of them: what each of ten steps
//! leaves behind is a leak, or a cache that holds more than ten. All numbers and their reasons:
//! [`super::thresholds`].

use std::collections::BTreeMap;

use super::leak::Held;
use super::thresholds::{BOUNDARIES, MEASURED_STEPS, RETAINED_SHARE, WARM_UP_STEPS};
use crate::state::Site;

/// A site retains something of most steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The site.
    pub site: Site,
    /// Of so many steps it retains something.
    pub steps: u64,
    /// So many were measured.
    pub measured: u64,
    /// Blocks retained of them.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What each site retains of the steps that `begins` bound, oldest first; `live` are all live
/// blocks, whose births and `begins` are told in the same unit. None without enough steps.
#[must_use]
pub fn retained(begins: &[u64], live: impl IntoIterator<Item = Held>) -> Option<Vec<Finding>> {
    // A step is measured when its blocks have had the time to go.
    let measured = begins.len().checked_sub(BOUNDARIES + WARM_UP_STEPS)?;
    if measured < MEASURED_STEPS {
        return None;
    }
    let (mut by_site, steps) = (BTreeMap::<Site, Vec<(usize, u64)>>::new(), begins.len());
    for held in live {
        let step = begins.partition_point(|begin| *begin <= held.born).wrapping_sub(1);
        if (WARM_UP_STEPS..steps - BOUNDARIES).contains(&step) {
            by_site.entry(held.site).or_default().push((step, held.bytes));
        }
    }
    let mut findings = Vec::new();
    for (site, mut blocks) in by_site {
        blocks.sort_unstable();
        let steps = blocks.chunk_by(|one, other| one.0 == other.0).count();
        if steps as f64 >= RETAINED_SHARE * measured as f64 {
            findings.push(Finding {
                site,
                steps: steps as u64,
                measured: measured as u64,
                blocks: blocks.len() as u64,
                bytes: blocks.iter().map(|(_, bytes)| bytes).sum(),
            });
        }
    }
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.bytes));
    Some(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAKS: Site = Site { native: 1, python: 1 };
    const MODEL: Site = Site { native: 2, python: 2 };
    const CACHE: Site = Site { native: 3, python: 3 };

    fn held(site: Site, born: u64, bytes: u64) -> Held {
        Held { site, born, bytes }
    }

    /// Steps begin at 100, 200, …; a model before them, and a cache of the last five steps.
    fn live(steps: u64) -> (Vec<u64>, Vec<Held>) {
        let begins: Vec<u64> = (1..=steps).map(|step| step * 100).collect();
        let model = (0..90).map(|born| held(MODEL, born, 1 << 30));
        let cache = (steps - 5..steps).map(|step| held(CACHE, step * 100 + 107, 1 << 20));
        (begins, model.chain(cache).collect())
    }

    #[test]
    fn a_block_left_behind_by_each_step_is_found() {
        let (begins, mut live) = live(16);
        // Two steps leave none, and the last three are too young to count.
        let leaked = (1..=16).filter(|step| ![7, 9].contains(step));
        live.extend(leaked.map(|step| held(LEAKS, step * 100 + 50, 4096)));
        let found = retained(&begins, live).unwrap();
        let expected = Finding { site: LEAKS, steps: 8, measured: 10, blocks: 8, bytes: 8 * 4096 };
        assert_eq!(found, [expected]);
    }

    #[test]
    fn what_fewer_than_eight_in_ten_steps_leave_is_no_finding() {
        let (begins, mut live) = live(16);
        let leaked = (4..=13).filter(|step| ![7, 9, 11].contains(step));
        live.extend(leaked.map(|step| held(LEAKS, step * 100 + 50, 4096)));
        assert_eq!(retained(&begins, live), Some(Vec::new()));
    }

    #[test]
    fn fifteen_steps_are_too_few_to_tell() {
        let (begins, live) = live(15);
        assert_eq!(retained(&begins, live), None);
        assert_eq!(retained(&[], []), None);
    }
}
