//! Families of which positions are steps: what each step takes, and which step gives it back.

use std::collections::BTreeSet;

use crate::benign::Make;
use crate::course::{Block, Course, Sizes, Unit, block, leaked, stays};
use crate::rng::Rng;

/// Families that do not leak.
pub const BENIGN: [(&str, Make); 12] = [
    ("activations", activations),
    ("gradient accumulation", gradient_accumulation),
    ("queue across steps", queue),
    ("lognormal lifetimes", lognormal),
    ("random eviction", random_eviction),
    ("replay buffer filling", replay_buffer),
    ("radix cache filling", radix_cache),
    ("something for each key", each_key),
    ("checkpoints", checkpoints),
    ("list flushed now and then", flushed),
    ("warm-up", warm_up),
    ("late graph capture", graph_capture),
];

/// Families that leak.
pub const LEAKING: [(&str, Make); 4] = [
    ("every step", every_step),
    ("every few steps", every_few),
    ("a fraction", fraction),
    ("late start", late_start),
];

const RUN: u64 = Unit::Steps.run() as u64;

/// What `make` gives for each step.
fn each_step(rng: &mut Rng, mut make: impl FnMut(&mut Rng, f64) -> Block) -> Course {
    let number = 1 + rng.below(8);
    let blocks = (0..RUN * number).map(|at| make(rng, (at / number) as f64)).collect();
    Course { frame: "model.py:214 forward", blocks }
}

fn activations(rng: &mut Rng) -> Course {
    let sizes = Sizes::any(rng);
    each_step(rng, |rng, step| block(step, step, sizes.next(rng)))
}

fn gradient_accumulation(rng: &mut Rng) -> Course {
    let (sizes, every) = (Sizes::any(rng), 2 + rng.below(31));
    each_step(rng, |rng, step| {
        let end = (step as u64 / every + 1) * every;
        block(step, end as f64, sizes.next(rng))
    })
}

fn queue(rng: &mut Rng) -> Course {
    let (sizes, length) = (Sizes::any(rng), rng.octaves(1.0, 50.0).floor());
    each_step(rng, |rng, step| block(step, step + length, sizes.next(rng)))
}

fn lognormal(rng: &mut Rng) -> Course {
    let sizes = Sizes::any(rng);
    let (median, sigma) = (rng.octaves(0.2, 5.0), rng.between(0.3, 1.3));
    each_step(rng, |rng, step| {
        let lifetime = (median * (sigma * rng.normal()).exp()).floor();
        block(step, step + lifetime, sizes.next(rng))
    })
}

fn random_eviction(rng: &mut Rng) -> Course {
    let (sizes, mean) = (Sizes::any(rng), rng.octaves(1.0, 40.0));
    each_step(rng, |rng, step| block(step, step + rng.wait(1.0 / mean).ceil(), sizes.next(rng)))
}

fn replay_buffer(rng: &mut Rng) -> Course {
    let (sizes, fills) = (Sizes::any(rng), rng.octaves(30.0, 400.0).floor());
    let course = each_step(rng, |rng, step| block(step, step + fills, sizes.next(rng)));
    Course { frame: "rl/replay_buffer.py:88 add", ..course }
}

fn radix_cache(rng: &mut Rng) -> Course {
    let sizes = Sizes::of(rng, 2048.0, 4.0 * 1024.0 * 1024.0);
    let course = each_step(rng, |rng, step| stays(step, sizes.next(rng)));
    Course { frame: "sglang/srt/mem_cache/radix_cache.py:512 _insert_helper", ..course }
}

/// Made when a key is first met, and kept; nine keys in ten are met within two steps to seventy-five.
fn each_key(rng: &mut Rng) -> Course {
    let (fills, sizes) = (rng.octaves(2.0, 75.0), Sizes::any(rng));
    let mut course = each_step(rng, |rng, step| stays(step, sizes.next(rng)));
    let a_step = course.blocks.len() as f64 / RUN as f64;
    let keys = (a_step * fills / std::f64::consts::LN_10).ceil() as u64;
    let mut met = BTreeSet::new();
    course.blocks.retain(|_| met.insert(rng.below(keys)));
    course
}

fn checkpoints(rng: &mut Rng) -> Course {
    let (sizes, every) = (Sizes::any(rng), 10 + rng.below(71));
    let lasts = if rng.chance(0.5) { 1 + rng.below(3) } else { every };
    let mut course = each_step(rng, |rng, step| block(step, step + lasts as f64, sizes.next(rng)));
    course.blocks.retain(|block| (block.born as u64).is_multiple_of(every));
    course
}

fn flushed(rng: &mut Rng) -> Course {
    let (sizes, every) = (Sizes::of(rng, 512.0, 1e6), rng.octaves(5.0, 60.0).floor());
    each_step(rng, |rng, step| block(step, ((step / every).floor() + 1.0) * every, sizes.next(rng)))
}

fn warm_up(rng: &mut Rng) -> Course {
    let (sizes, until) = (Sizes::any(rng), rng.octaves(1.0, 30.0));
    each_step(rng, |rng, step| Block {
        died: (step > until).then_some(step),
        ..stays(step, sizes.next(rng))
    })
}

fn graph_capture(rng: &mut Rng) -> Course {
    let (sizes, begin, lasts) = (Sizes::any(rng), rng.below(RUN) as f64, rng.octaves(1.0, 25.0));
    let mut course = each_step(rng, |rng, step| stays(step, sizes.next(rng)));
    course.blocks.retain(|block| block.born >= begin && block.born < begin + lasts);
    course
}

fn leaks(rng: &mut Rng, mut when: impl FnMut(&mut Rng, f64) -> bool) -> Course {
    let (sizes, lifetime) = (Sizes::any(rng), rng.octaves(0.3, 5.0));
    let course = each_step(rng, |rng, step| {
        if when(rng, step) {
            return leaked(step, sizes.next(rng));
        }
        block(step, step + rng.wait(1.0 / lifetime).floor(), sizes.next(rng))
    });
    Course { frame: "trainer.py:301 log_metrics", ..course }
}

fn every_step(rng: &mut Rng) -> Course {
    leaks(rng, |_, _| true)
}

fn every_few(rng: &mut Rng) -> Course {
    let every = (2 + rng.below(9)) as f64;
    leaks(rng, |_, step| step % every == 0.0)
}

fn fraction(rng: &mut Rng) -> Course {
    let share = rng.octaves(0.01, 0.5);
    leaks(rng, |rng, _| rng.chance(share))
}

fn late_start(rng: &mut Rng) -> Course {
    let begin = rng.between(0.1, 0.8) * Unit::Steps.run();
    leaks(rng, |_, step| step >= begin)
}
