//! Sites that do not leak, over four hours. Lifetimes, rates and bounds are such as programs have
//! them; none is chosen by what the detectors look for.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::course::{Block, Course, Sizes, Unit, block, moments, stays};
use crate::rng::Rng;

/// Makes one run of a family.
pub type Make = fn(&mut Rng) -> Course;

/// The families by name.
pub const FAMILIES: [(&str, Make); 17] = [
    ("lognormal lifetimes", lognormal),
    ("Pareto lifetimes", pareto),
    ("long sessions", long_sessions),
    ("FIFO cache", fifo_cache),
    ("random eviction", random_eviction),
    ("replay buffer filling", replay_buffer),
    ("load ramp", ramp),
    ("phases", phases),
    ("late pools", late_pools),
    ("bounded LRU", bounded_lru),
    ("radix cache filling", radix_cache),
    ("something for each key", each_key),
    ("warm-up", warm_up),
    ("graph capture", graph_capture),
    ("gradient accumulation", gradient_accumulation),
    ("checkpoints", checkpoints),
    ("training step", training_step),
];

const RUN: f64 = Unit::Seconds.run();

fn course(blocks: Vec<Block>) -> Course {
    Course { frame: "model.py:214 forward", blocks }
}

fn living(
    rng: &mut Rng,
    moments: Vec<f64>,
    mut lifetime: impl FnMut(&mut Rng) -> f64,
) -> Vec<Block> {
    let sizes = Sizes::any(rng);
    let one = |born: f64| block(born, born + lifetime(rng), sizes.next(rng));
    moments.into_iter().map(one).collect()
}

/// Requests whose lengths differ by orders of magnitude.
pub fn lognormal(rng: &mut Rng) -> Course {
    let rate = rng.octaves(0.02, 1.0);
    let (median, sigma) = (rng.octaves(1.0, 120.0), rng.between(0.3, 1.5));
    let moments = moments(rng, rate, 0.0, RUN);
    course(living(rng, moments, |rng| median * (sigma * rng.normal()).exp()))
}

fn pareto(rng: &mut Rng) -> Course {
    let rate = rng.octaves(0.02, 1.0);
    let (least, alpha) = (rng.octaves(0.5, 20.0), rng.between(1.1, 2.5));
    let moments = moments(rng, rate, 0.0, RUN);
    course(living(rng, moments, |rng| least * rng.wait(alpha).exp()))
}

/// Users who stay for minutes or an hour, and whose state stays with them.
fn long_sessions(rng: &mut Rng) -> Course {
    let rate = rng.octaves(0.005, 0.2);
    let (median, sigma) = (rng.octaves(60.0, 2400.0), rng.between(0.3, 1.0));
    let moments = moments(rng, rate, 0.0, RUN);
    course(living(rng, moments, |rng| median * (sigma * rng.normal()).exp()))
}

/// Evicts the oldest; full within two minutes to seventy-five.
fn fifo_cache(rng: &mut Rng) -> Course {
    let (fills, capacity) = (rng.octaves(120.0, 4500.0), rng.octaves(10.0, 500.0));
    let begin = rng.between(0.0, 600.0);
    let moments = moments(rng, capacity / fills, begin, RUN);
    let sizes = Sizes::any(rng);
    let dies = |at: usize| moments.get(at + capacity as usize).copied();
    let one = |(at, born): (usize, &f64)| Block { died: dies(at), ..stays(*born, sizes.next(rng)) };
    course(moments.iter().enumerate().map(one).collect())
}

/// Evicts any; full within two minutes to seventy-five.
fn random_eviction(rng: &mut Rng) -> Course {
    let (fills, capacity) = (rng.octaves(120.0, 4500.0), rng.octaves(10.0, 500.0));
    let sizes = Sizes::any(rng);
    let (mut blocks, mut held): (Vec<Block>, Vec<usize>) = (Vec::new(), Vec::new());
    for born in moments(rng, capacity / fills, 0.0, RUN) {
        if held.len() >= capacity as usize {
            let evicted = held.swap_remove(rng.below(held.len() as u64) as usize);
            blocks[evicted].died = Some(born);
        }
        held.push(blocks.len());
        blocks.push(stays(born, sizes.next(rng)));
    }
    course(blocks)
}

/// Its bound is met after half an hour, or not in this run; then the oldest goes.
fn replay_buffer(rng: &mut Rng) -> Course {
    let (fills, capacity) = (rng.octaves(1800.0, 22_000.0), rng.octaves(200.0, 5000.0));
    let every = fills / capacity;
    let sizes = Sizes::any(rng);
    let number = (RUN / every) as usize;
    let dies = |at: usize| Some((at + capacity as usize) as f64 * every).filter(|died| *died < RUN);
    let one = |at: usize| Block { died: dies(at), ..stays(at as f64 * every, sizes.next(rng)) };
    Course { frame: "rl/replay_buffer.py:88 add", blocks: (0..number).map(one).collect() }
}

/// Load rises for an hour or three, to many times what it was.
fn ramp(rng: &mut Rng) -> Course {
    let (low, times) = (rng.octaves(0.01, 0.1), rng.octaves(4.0, 20.0));
    let (from, lasts) = (rng.between(0.0, 0.4) * RUN, rng.between(0.2, 0.8) * RUN);
    let median = rng.octaves(1.0, 300.0);
    let all = moments(rng, low * times, 0.0, RUN);
    let share = |at: f64| (1.0 + (times - 1.0) * ((at - from) / lasts).clamp(0.0, 1.0)) / times;
    let kept: Vec<f64> = all.into_iter().filter(|at| rng.chance(share(*at))).collect();
    course(living(rng, kept, |rng| median * (0.7 * rng.normal()).exp()))
}

/// Rollout and training take turns; what one takes goes when the other begins.
fn phases(rng: &mut Rng) -> Course {
    let period = rng.octaves(120.0, 3600.0);
    let rollout = period * rng.between(0.3, 0.7);
    let rate = rng.octaves(10.0, 200.0) / rollout;
    let sizes = Sizes::any(rng);
    let mut blocks = Vec::new();
    let mut begin = 0.0;
    while begin < RUN {
        for born in moments(rng, rate, begin, begin + rollout) {
            blocks.push(block(born, begin + rollout, sizes.next(rng)));
        }
        begin += period * rng.between(0.9, 1.1);
    }
    course(blocks)
}

/// Workspaces and pools that are taken when first needed, and kept.
fn late_pools(rng: &mut Rng) -> Course {
    let sizes = Sizes::any(rng);
    let mut blocks = Vec::new();
    for _ in 0..=rng.below(6) {
        let at = rng.between(0.0, RUN);
        for _ in 0..=rng.below(30) {
            blocks.push(stays(at + rng.between(0.0, 20.0), sizes.next(rng)));
        }
    }
    course(blocks)
}

/// Keeps what was asked for last; few keys are asked for often, most seldom.
fn bounded_lru(rng: &mut Rng) -> Course {
    let capacity = rng.octaves(20.0, 400.0) as usize;
    let keys = capacity as f64 * rng.octaves(3.0, 30.0);
    let rate = rng.octaves(0.2, 2.0);
    let sizes = Sizes::any(rng);
    let mut blocks: Vec<Block> = Vec::new();
    let (mut by_key, mut by_use) = (BTreeMap::new(), BTreeMap::new());
    for (turn, at) in moments(rng, rate, 0.0, RUN).into_iter().enumerate() {
        let key = rng.octaves(1.0, keys) as u64;
        if let Some((used, index)) = by_key.insert(key, (turn, blocks.len())) {
            by_use.remove(&used);
            by_key.insert(key, (turn, index));
        } else {
            blocks.push(stays(at, sizes.next(rng)));
        }
        by_use.insert(turn, key);
        if by_key.len() > capacity {
            let oldest = by_use.pop_first().and_then(|(_, key)| by_key.remove(&key));
            oldest.into_iter().for_each(|(_, index): (usize, usize)| blocks[index].died = Some(at));
        }
    }
    course(blocks)
}

/// Made when a key is first met, and kept: an expert's momentum, a shape's workspace. Nine keys in ten
/// are met within two minutes to seventy-five.
fn each_key(rng: &mut Rng) -> Course {
    let (fills, keys) = (rng.octaves(120.0, 4500.0), rng.octaves(10.0, 500.0).floor());
    let sizes = Sizes::any(rng);
    let mut met = BTreeSet::new();
    let meetings = moments(rng, keys * std::f64::consts::LN_10 / fills, 0.0, RUN);
    let first = meetings.into_iter().filter(|_| met.insert(rng.below(keys as u64)));
    let first: Vec<f64> = first.collect();
    course(first.into_iter().map(|born| stays(born, sizes.next(rng))).collect())
}

/// A node for each prompt, none like another; its bound is far.
fn radix_cache(rng: &mut Rng) -> Course {
    let rate = rng.octaves(0.05, 1.0);
    let sizes = Sizes::of(rng, 2048.0, 4.0 * 1024.0 * 1024.0);
    let begin = rng.between(30.0, 600.0);
    let moments = moments(rng, rate, begin, RUN);
    let blocks = moments.into_iter().map(|born| stays(born, sizes.next(rng))).collect();
    Course { frame: "sglang/srt/mem_cache/radix_cache.py:512 _insert_helper", blocks }
}

/// Weights and first-step state within some minutes, up to half an hour; then requests.
fn warm_up(rng: &mut Rng) -> Course {
    let lasts = rng.octaves(10.0, 1500.0);
    let mut course = lognormal(rng);
    let sizes = Sizes::any(rng);
    for born in moments(rng, 100.0 / lasts, 0.0, lasts) {
        course.blocks.push(stays(born, sizes.next(rng)));
    }
    course
}

/// One graph after the other, each with blocks of its own; at the start, or when first needed.
fn graph_capture(rng: &mut Rng) -> Course {
    let sizes = Sizes::any(rng);
    let mut at = if rng.chance(0.5) { rng.between(20.0, 900.0) } else { rng.between(0.0, RUN) };
    let every = rng.octaves(0.5, 30.0);
    let mut blocks = Vec::new();
    for _ in 0..5 + rng.below(60) {
        for _ in 0..=rng.below(8) {
            blocks.push(stays(at, sizes.next(rng)));
        }
        at += every * rng.between(0.5, 1.5);
    }
    blocks.retain(|block| block.born < RUN);
    course(blocks)
}

/// Gradients of some micro-steps are kept until the optimizer's step.
fn gradient_accumulation(rng: &mut Rng) -> Course {
    let (micro_step, number) = (rng.octaves(1.0, 30.0), 2 + rng.below(31));
    let sizes = Sizes::any(rng);
    let (mut blocks, mut begin) = (Vec::new(), rng.between(10.0, 300.0));
    while begin < RUN {
        let end = begin + micro_step * number as f64;
        for at in 0..number {
            blocks.push(block(begin + at as f64 * micro_step, end, sizes.next(rng)));
        }
        begin = end;
    }
    course(blocks)
}

/// Copies for a checkpoint: gone when it is written, or kept until the next.
fn checkpoints(rng: &mut Rng) -> Course {
    let (every, number) = (rng.octaves(300.0, 3600.0), 1 + rng.below(100));
    let lasts = if rng.chance(0.5) { rng.between(10.0, 200.0) } else { every + 5.0 };
    let sizes = Sizes::any(rng);
    let (mut blocks, mut at) = (Vec::new(), every);
    while at < RUN {
        for _ in 0..number {
            blocks.push(block(at + rng.between(0.0, 5.0), at + lasts, sizes.next(rng)));
        }
        at += every;
    }
    course(blocks)
}

/// Activations, last in, first out, step by step; and a queue of the last few losses.
fn training_step(rng: &mut Rng) -> Course {
    let (step, depth) = (rng.octaves(2.0, 60.0), 2 + rng.below(12));
    let sizes = Sizes::any(rng);
    let (mut blocks, mut losses) = (Vec::new(), VecDeque::new());
    let kept = 1 + rng.below(100) as usize;
    let mut begin = 0.0;
    while begin < RUN {
        for at in 0..depth {
            let inset = step * 0.4 * at as f64 / depth as f64;
            blocks.push(block(begin + inset, begin + step - inset, sizes.next(rng)));
        }
        losses.push_back(blocks.len());
        blocks.push(stays(begin + step * 0.45, 512));
        if losses.len() > kept {
            losses.pop_front().into_iter().for_each(|at: usize| blocks[at].died = Some(begin));
        }
        begin += step;
    }
    course(blocks)
}
