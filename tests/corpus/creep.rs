//! Servers and training loops whose requests go through a caching allocator.
//!
//! Whether a run creeps follows from the allocator's own books at the end of each request, which the
//! detector does not see: it has the events alone, and must find where requests end. A run creeps if
//! what is reserved beyond blocks then gained [`CREEPS`] and went on in the last third; it does not,
//! if that gained less than [`CREEPS_NOT`] or nothing in the last third. What lies between is left out.

use collector::detect::creep::{Creep, Verdict};

use crate::allocator::Allocator;
use crate::rng::Rng;
use crate::score::Counts;

const MIB: u64 = 1 << 20;
const GIB: f64 = 1024.0;
const SECOND: u64 = 1_000_000_000;
/// See above, bytes.
const CREEPS: u64 = 128 * MIB;
const CREEPS_NOT: u64 = 32 * MIB;
/// What the last third must bring at least, bytes: a jump, not a rounding.
const GOES_ON: u64 = 8 * MIB;

/// A run while it is played: every call of the program is one event.
struct Run {
    allocator: Allocator,
    creep: Creep,
    time: u64,
    rng: Rng,
    /// Reserved beyond blocks at the end of each request.
    idle: Vec<u64>,
}

impl Run {
    fn event(&mut self) {
        self.time += SECOND / 20;
        let Allocator { allocated, reserved, .. } = self.allocator;
        self.creep.push(self.time, allocated, reserved, std::iter::empty());
    }

    fn take(&mut self, mib: f64) -> u64 {
        let block = self.allocator.take((mib * MIB as f64) as u64);
        self.event();
        block
    }

    fn give_back(&mut self, block: u64) {
        self.allocator.give_back(block);
        self.event();
    }

    /// A request that takes blocks of these sizes and gives them all back.
    fn request(&mut self, sizes: &[f64]) {
        let blocks: Vec<u64> = sizes.iter().map(|mib| self.take(*mib)).collect();
        blocks.into_iter().for_each(|block| self.give_back(block));
        self.rest();
    }

    /// A request has ended.
    fn rest(&mut self) {
        self.idle.push(self.allocator.reserved - self.allocator.allocated);
        self.time += SECOND * self.rng.below(30);
    }

    /// Whether it creeps, where that is clear.
    fn creeps(&self) -> Option<bool> {
        let most = |idle: &[u64]| idle.iter().copied().max().unwrap_or(0);
        let (before, last) = self.idle.split_at(self.idle.len() * 2 / 3);
        let gained = most(&self.idle) - self.idle.first().copied().unwrap_or(0);
        let at_last = most(last).saturating_sub(most(before));
        match (gained, at_last) {
            (..CREEPS_NOT, _) | (_, 0) => Some(false),
            (CREEPS.., GOES_ON..) => Some(true),
            _ => None,
        }
    }

    fn empty_cache(&mut self) {
        self.allocator.empty_cache();
        self.event();
        // What was kept to here was not kept between requests.
        self.idle.pop();
        self.rest();
    }

    /// Some requests alike, with nothing to tell them apart.
    fn sizes(&mut self) -> Vec<f64> {
        (0..=2 + self.rng.below(4)).map(|_| self.rng.octaves(8.0, 200.0)).collect()
    }
}

type Make = fn(&mut Run, u64);

const FAMILIES: [(&str, Make); 13] = [
    ("fixed sizes", fixed),
    ("some sizes", some),
    ("any size, empty_cache", emptied),
    ("training", training),
    ("late pools", late_pools),
    ("leak", leak),
    ("bounded cache", cache),
    ("rollout and training †", rollout),
    ("load ramp in the first half †", ramp),
    ("growing sizes", growing),
    ("growing with noise", noisy),
    ("fenced by small blocks", fenced),
    ("growing concurrency †", crowded),
];

fn fixed(run: &mut Run, requests: u64) {
    let sizes = run.sizes();
    (0..requests).for_each(|_| run.request(&sizes));
}

/// One of a few resolutions each time.
fn some(run: &mut Run, requests: u64) {
    let kinds: Vec<Vec<f64>> = (0..2 + run.rng.below(6)).map(|_| run.sizes()).collect();
    for _ in 0..requests {
        let kind = run.rng.below(kinds.len() as u64) as usize;
        run.request(&kinds[kind]);
    }
}

fn emptied(run: &mut Run, requests: u64) {
    for _ in 0..requests {
        let sizes = run.sizes();
        run.request(&sizes);
        run.empty_cache();
    }
}

/// Activations and gradients by layer; the optimizer's state comes with the first step.
fn training(run: &mut Run, requests: u64) {
    let layers = run.sizes();
    for step in 0..requests {
        let activations: Vec<u64> = layers.iter().map(|mib| run.take(*mib)).collect();
        let gradients: Vec<u64> = layers.iter().map(|mib| run.take(mib / 2.0)).collect();
        activations.into_iter().rev().for_each(|block| run.give_back(block));
        if step == 0 {
            for mib in &layers {
                run.take(*mib);
            }
        }
        gradients.into_iter().for_each(|block| run.give_back(block));
        run.rest();
        if step % 20 == 19 {
            run.request(&[120.0]);
        }
    }
}

/// One or two workspaces at any time.
fn late_pools(run: &mut Run, requests: u64) {
    let sizes = run.sizes();
    let pools: Vec<u64> = (0..=run.rng.below(2)).map(|_| run.rng.below(requests)).collect();
    for request in 0..requests {
        run.request(&sizes);
        if pools.contains(&request) {
            let mib = run.rng.octaves(30.0, 500.0);
            run.take(mib);
        }
    }
}

/// Each request leaves something behind: reserved grows because allocated does.
fn leak(run: &mut Run, requests: u64) {
    let (sizes, left) = (run.sizes(), run.rng.octaves(0.3, 8.0));
    for _ in 0..requests {
        run.take(left);
        run.request(&sizes);
    }
}

/// The newest few of what requests made stay; its bound is met within the first third.
fn cache(run: &mut Run, requests: u64) {
    let (sizes, bound) = (run.sizes(), 4 + run.rng.below(requests / 4));
    let mut kept = std::collections::VecDeque::new();
    for _ in 0..requests {
        let mib = run.rng.octaves(0.2, 4.0);
        kept.push_back(run.take(mib));
        run.request(&sizes);
        if kept.len() as u64 > bound {
            kept.pop_front().into_iter().for_each(|block| run.give_back(block));
        }
    }
}

/// A KV pool that is given back whole, and then training.
fn rollout(run: &mut Run, requests: u64) {
    let (pool, sizes) = (run.rng.octaves(2.0, 20.0) * GIB, run.sizes());
    for _ in 0..requests / 10 {
        let pool = run.take(pool);
        (0..5).for_each(|_| run.request(&sizes));
        run.give_back(pool);
        run.rest();
        run.empty_cache();
        (0..5).for_each(|_| run.request(&sizes));
    }
}

/// More and more requests at once, up to half of the run.
fn ramp(run: &mut Run, requests: u64) {
    let sizes = run.sizes();
    let most = 3 + run.rng.below(5);
    for request in 0..requests {
        let at_once = 1 + (most * 2 * request / requests).min(most);
        run.request(&sizes.repeat(at_once as usize));
    }
}

/// Each image, batch or sequence is a little larger than all before.
fn growing(run: &mut Run, requests: u64) {
    let (mut mib, by) = (run.rng.octaves(20.0, 100.0), run.rng.between(1.003, 1.02));
    let sizes = run.sizes();
    for _ in 0..requests {
        run.request(&[&sizes[..], &[mib]].concat());
        mib *= by;
    }
}

/// They grow in the mean.
fn noisy(run: &mut Run, requests: u64) {
    let (mut mib, by) = (run.rng.octaves(30.0, 100.0), run.rng.between(1.004, 1.015));
    for _ in 0..requests {
        let sizes: Vec<f64> = (0..3).map(|_| mib * run.rng.between(0.3, 1.0)).collect();
        run.request(&sizes);
        mib *= by;
    }
}

/// Each cycle asks for a little more, and something small comes to lie behind it that stays: what
/// lies before it is never large enough again (pytorch #123548).
fn fenced(run: &mut Run, requests: u64) {
    let (mut mib, more) = (run.rng.octaves(50.0, 200.0), run.rng.between(2.0, 20.0));
    for request in 0..requests {
        let large = run.take(mib - 1.5);
        if request % 4 == 0 {
            run.take(1.2);
        }
        run.give_back(large);
        run.rest();
        mib += more;
    }
}

/// Ever more requests at once, each given back.
fn crowded(run: &mut Run, requests: u64) {
    let (size, every) = (run.rng.octaves(12.0, 60.0), 4 + run.rng.below(6));
    for request in 0..requests {
        let sizes = vec![size; 2 + (request / every) as usize];
        run.request(&sizes);
    }
}

/// What was said of a family's runs.
#[derive(Clone, Debug)]
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// Runs that were an alert at the end.
    pub counts: Counts,
    /// Runs that had crept and stopped, which is worth knowing and no alert.
    pub plateaued: u64,
}

/// Plays `number` runs of each family.
pub fn run(number: u64) -> Vec<Family> {
    let play = |(name, make): &(&'static str, Make)| {
        let mut family = Family { name, counts: Counts::default(), plateaued: 0 };
        for seed in 1_000_001..=1_000_000 + number {
            let run = play(*make, Rng::new(name, seed));
            let found = match run.creep.check() {
                Verdict::Creep(found) => Some(found),
                Verdict::Fine | Verdict::NotEnough => None,
            };
            let counts = &mut family.counts;
            let (all, hits) = match run.creeps() {
                Some(true) => (&mut counts.leaking, &mut counts.found),
                Some(false) => (&mut counts.benign, &mut counts.false_alerts),
                None => continue,
            };
            *all += 1;
            *hits += u64::from(found.as_ref().is_some_and(|found| !found.plateaued));
            family.plateaued += u64::from(found.is_some_and(|found| found.plateaued));
        }
        family
    };
    FAMILIES.iter().map(play).collect()
}

/// A run of 60 to 400 requests.
fn play(make: Make, rng: Rng) -> Run {
    let (allocator, creep) = (Allocator::default(), Creep::default());
    let mut run = Run { allocator, creep, time: 0, rng, idle: Vec::new() };
    let weights = run.rng.octaves(0.5, 20.0) * GIB;
    run.take(weights);
    let requests = 60 + run.rng.below(340);
    make(&mut run, requests);
    run
}
