//! Totals of a process, one figure every ten seconds over four hours: families that leak and families
//! that do not. A run that leaks has a twin without the leak, which says how large its
//! noise is.

use collector::detect::growth::{Growth, Verdict};
use collector::detect::thresholds::{BY_STEPS, BY_TIME, MINUTE, Windows};

use crate::rng::Rng;
use crate::score::Counts;
use crate::sites::Seeds;

const MIB: f64 = 1024.0 * 1024.0;
const GIB: f64 = 1024.0 * MIB;
/// Seconds between figures.
const EVERY: f64 = 10.0;
const RUN: usize = 1440;

type Make = fn(&mut Rng) -> Vec<f64>;

/// A family: a shape, with a leak or without.
struct Shape {
    name: &'static str,
    make: Make,
    leak: Option<Leak>,
    /// Each figure is the least of a step.
    by_steps: bool,
}

#[derive(Clone, Copy)]
enum Leak {
    Linear,
    PerStep,
    MidRun,
}

const fn benign(name: &'static str, make: Make) -> Shape {
    Shape { name, make, leak: None, by_steps: false }
}

const fn leaking(name: &'static str, make: Make, leak: Leak) -> Shape {
    Shape { name, make, leak: Some(leak), by_steps: false }
}

const SHAPES: [Shape; 17] = [
    benign("flat", flat),
    benign("long warm-up", long_warm_up),
    benign("sawtooth", sawtooth),
    benign("bounded ratchet", ratchet),
    benign("late pools", late_pools),
    benign("phase shift", phase_shift),
    benign("correlated load", correlated_load),
    benign("diurnal", diurnal),
    benign("load ramp", load_ramp),
    Shape { by_steps: true, ..benign("steps", correlated_load) },
    leaking("leak, linear", flat, Leak::Linear),
    leaking("leak + sawtooth", sawtooth, Leak::Linear),
    leaking("leak per step", sawtooth, Leak::PerStep),
    leaking("leak from mid-run", flat, Leak::MidRun),
    leaking("leak + correlated load", correlated_load, Leak::Linear),
    leaking("leak + ratchet", ratchet, Leak::Linear),
    Shape { by_steps: true, ..leaking("leak by steps", correlated_load, Leak::Linear) },
];

/// Families left out of tuning whole.
pub const HELD_OUT: [&str; 2] = ["phase shift", "leak per step"];

/// Noise of a figure, and what holds for some time: loaded models, caches of the start.
fn flat(rng: &mut Rng) -> Vec<f64> {
    let (base, noise) = (rng.octaves(8.0, 60.0) * GIB, rng.octaves(2.0, 80.0) * MIB);
    let start = rng.between(0.0, 0.03) * RUN as f64;
    let loaded = |at: usize| (at as f64 / start.max(1.0)).min(1.0);
    (0..RUN).map(|at| base * loaded(at) + noise * rng.normal()).collect()
}

fn add(mut series: Vec<f64>, mut more: impl FnMut(f64) -> f64) -> Vec<f64> {
    let run = series.len() as f64;
    series.iter_mut().enumerate().for_each(|(at, value)| *value += more(at as f64 / run));
    series
}

/// Nears its level for half an hour to an hour and a half.
fn long_warm_up(rng: &mut Rng) -> Vec<f64> {
    let (more, lasts) = (rng.octaves(0.5, 10.0) * GIB, rng.between(0.04, 0.12));
    add(flat(rng), |at| more * (1.0 - (-at / lasts).exp()))
}

/// Builds up and is given back, over and over.
fn sawtooth(rng: &mut Rng) -> Vec<f64> {
    let (height, period) = (rng.octaves(0.2, 5.0) * GIB, rng.octaves(0.002, 0.08));
    add(flat(rng), |at| height * (at / period).fract())
}

/// A caching allocator: ever rarer jumps, up to a bound.
fn ratchet(rng: &mut Rng) -> Vec<f64> {
    let (jump, chance) = (rng.octaves(20.0, 500.0) * MIB, rng.octaves(0.01, 0.2));
    let series = flat(rng);
    let (mut level, mut times) = (0.0, 0.0);
    add(series, |_| {
        if rng.chance(chance / (1.0 + times * times)) {
            level += jump * rng.between(0.3, 1.7);
            times += 0.3;
        }
        level
    })
}

fn late_pools(rng: &mut Rng) -> Vec<f64> {
    let pools: Vec<(f64, f64)> =
        (0..=rng.below(5)).map(|_| (rng.between(0.0, 1.0), rng.octaves(0.05, 4.0) * GIB)).collect();
    add(flat(rng), |at| pools.iter().filter(|(from, _)| at >= *from).map(|(_, bytes)| bytes).sum())
}

/// Rollout and training take turns, and hold different amounts.
fn phase_shift(rng: &mut Rng) -> Vec<f64> {
    let (more, period) = (rng.octaves(1.0, 20.0) * GIB, rng.octaves(0.01, 0.4));
    let share = rng.between(0.3, 0.7);
    add(flat(rng), |at| if (at / period).fract() < share { more } else { 0.0 })
}

/// Load that remembers: each figure is near the one before.
fn correlated_load(rng: &mut Rng) -> Vec<f64> {
    let (scale, memory) = (rng.octaves(0.05, 2.0) * GIB, rng.octaves(0.9, 0.995));
    let series = flat(rng);
    let (mut load, fresh) = (rng.normal(), (1.0 - memory * memory).sqrt());
    add(series, |_| {
        load = memory * load + fresh * rng.normal();
        scale * load
    })
}

/// Load by the hour of the day, and the run begins at any.
fn diurnal(rng: &mut Rng) -> Vec<f64> {
    let (height, begin) = (rng.octaves(0.2, 4.0) * GIB, rng.between(0.0, 1.0));
    let days = rng.octaves(4.0 / 24.0, 2.0);
    add(correlated_load(rng), |at| height * (std::f64::consts::TAU * (begin + at * days)).sin())
}

/// Load rises for a part of the run.
fn load_ramp(rng: &mut Rng) -> Vec<f64> {
    let (more, from) = (rng.octaves(0.2, 8.0) * GIB, rng.between(0.0, 0.7));
    let lasts = rng.between(0.05, 0.5);
    add(flat(rng), |at| more * ((at - from) / lasts).clamp(0.0, 1.0))
}

/// The leak alone: 2 to 100 MiB a minute.
fn leak(rng: &mut Rng, kind: Leak) -> Vec<f64> {
    let all = rng.octaves(2.0, 100.0) * MIB * RUN as f64 * EVERY / 60.0;
    let (step, from) = (rng.octaves(0.001, 0.02), rng.between(0.2, 0.6));
    add(vec![0.0; RUN], |at| match kind {
        Leak::Linear => all * at,
        Leak::PerStep => all * (at / step).floor() * step,
        Leak::MidRun => all * (at - from).max(0.0),
    })
}

/// The leak's growth over the standard deviation of what is no leak, both after a fifth of the run.
fn over_noise(noise: &[f64], leak: &[f64]) -> f64 {
    let rest = &noise[RUN / 5..];
    let mean = rest.iter().sum::<f64>() / rest.len() as f64;
    let squares: f64 = rest.iter().map(|value| (value - mean).powi(2)).sum();
    (leak[RUN - 1] - leak[RUN / 5]) / (squares / rest.len() as f64).sqrt()
}

/// What was said of a family's runs.
#[derive(Clone, Debug)]
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// At the end of the run.
    pub at_end: Counts,
    /// At any two looks ten minutes, or a step, apart.
    pub ever: Counts,
    /// At the end, of leaks that are five times the noise.
    pub plain: Counts,
}

/// Plays `number` runs of each family.
pub fn run(seeds: Seeds, number: u64) -> Vec<Family> {
    let first = if seeds == Seeds::Tuning { 1 } else { 1_000_001 };
    let used = |shape: &&Shape| seeds == Seeds::HeldOut || !HELD_OUT.contains(&shape.name);
    let of_shape = |shape: &Shape| {
        let (at_end, ever, plain) = Default::default();
        let mut family = Family { name: shape.name, at_end, ever, plain };
        for seed in first..first + number {
            let mut rng = Rng::new(shape.name, seed);
            let mut series = (shape.make)(&mut rng);
            let mut plain = false;
            if let Some(kind) = shape.leak {
                let leak = leak(&mut rng, kind);
                plain = over_noise(&series, &leak) >= 5.0;
                series.iter_mut().zip(leak).for_each(|(value, more)| *value += more);
            }
            let (at_end, ever) = watch(&series, shape.by_steps);
            let count = |counts: &mut Counts, flagged: bool| {
                let (all, hits) = match shape.leak {
                    Some(_) => (&mut counts.leaking, &mut counts.found),
                    None => (&mut counts.benign, &mut counts.false_alerts),
                };
                *all += 1;
                *hits += u64::from(flagged);
            };
            count(&mut family.at_end, at_end);
            count(&mut family.ever, ever);
            if plain {
                count(&mut family.plain, at_end);
            }
        }
        family
    };
    SHAPES.iter().filter(used).map(of_shape).collect()
}

/// Whether it grows at the end, and whether it did at two looks in a row. By steps a step is six
/// figures long.
fn watch(series: &[f64], by_steps: bool) -> (bool, bool) {
    let (windows, position): (Windows, fn(usize) -> u64) = match by_steps {
        true => (BY_STEPS, |at| at as u64 / 6),
        false => (BY_TIME, |at| (at as u64 + 1) * (EVERY as u64) * MINUTE / 60),
    };
    let mut growth = Growth::new(windows);
    let (mut before, mut ever) = (false, false);
    for (at, bytes) in series.iter().enumerate() {
        growth.push(position(at), bytes.max(0.0) as u64);
        if (at + 1) % 60 == 0 {
            let now = matches!(growth.check(), Verdict::Growing(_));
            ever |= now && before;
            before = now;
        }
    }
    (before, ever)
}
