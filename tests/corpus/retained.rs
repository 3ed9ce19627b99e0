//! What is retained at the ends of steps, in tests that run a few of them.

use collector::detect::leak::Held;
use collector::detect::retained::retained;
use collector::state::Site;

use crate::benign::Make;
use crate::by_steps;
use crate::rng::Rng;

/// The runs of a family, and of how many a site was found.
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// Whether it leaks.
    pub leaks: bool,
    /// Runs played.
    pub runs: u64,
    /// Runs with a finding after each of [`LENGTHS`] steps.
    pub found: [u64; LENGTHS.len()],
}

/// Three steps to warm up, ten to measure, three for their blocks to go; and longer tests.
pub const LENGTHS: [u64; 3] = [16, 60, 240];

/// Plays `number` runs of each family, on held-out seeds: the rule has nothing to tune.
pub fn run(number: u64) -> Vec<Family> {
    let of = |leaks: bool| {
        move |(name, make): &(&'static str, Make)| {
            let mut found = [0; LENGTHS.len()];
            for seed in 1_000_001..=1_000_000 + number {
                let course = make(&mut Rng::new(name, seed));
                for (found, steps) in found.iter_mut().zip(LENGTHS) {
                    let end = steps as f64;
                    let live = course.blocks.iter().filter(|block| {
                        block.born < end && block.died.is_none_or(|died| died >= end)
                    });
                    let site = Site { native: 1, python: 1 };
                    let held =
                        live.map(|one| Held { site, born: one.born as u64, bytes: one.bytes });
                    let begins: Vec<u64> = (0..steps).collect();
                    *found += u64::from(retained(&begins, held).is_some_and(|all| !all.is_empty()));
                }
            }
            Family { name, leaks, runs: number, found }
        }
    };
    let benign = by_steps::BENIGN.iter().map(of(false));
    benign.chain(by_steps::LEAKING.iter().map(of(true))).collect()
}
