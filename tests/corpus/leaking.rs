//! Sites that leak, over four hours.

use crate::benign::{Make, lognormal};
use crate::course::{Block, Course, Sizes, Unit, leaked, moments};
use crate::rng::Rng;

/// The families by name.
pub const FAMILIES: [(&str, Make); 5] = [
    ("all", all),
    ("a fraction", fraction),
    ("late start", late_start),
    ("one per burst", one_per_burst),
    ("per step", per_step),
];

const RUN: f64 = Unit::Seconds.run();
const MIB: f64 = 1024.0 * 1024.0;

/// Bytes a second: 0.1 to 100 MiB a minute.
fn rate(rng: &mut Rng) -> f64 {
    rng.octaves(0.1, 100.0) * MIB / 60.0
}

fn course(blocks: Vec<Block>) -> Course {
    Course { frame: "handler.py:77 on_request", blocks }
}

/// Every block, from near the beginning on.
fn all(rng: &mut Rng) -> Course {
    let begin = rng.between(0.0, 0.2) * RUN;
    from(rng, begin)
}

/// Every block, from some time in the run on.
fn late_start(rng: &mut Rng) -> Course {
    let begin = rng.between(0.2, 0.8) * RUN;
    from(rng, begin)
}

fn from(rng: &mut Rng, begin: f64) -> Course {
    let (rate, sizes) = (rate(rng), Sizes::any(rng));
    let moments = moments(rng, (rate / sizes.mean()).min(1.0), begin, RUN);
    course(moments.into_iter().map(|born| leaked(born, sizes.next(rng))).collect())
}

/// Of a site whose blocks come and go, one in twenty to one in five hundred: an error path.
fn fraction(rng: &mut Rng) -> Course {
    let share = rng.octaves(0.002, 0.05);
    let mut blocks = lognormal(rng).blocks;
    for block in &mut blocks {
        if rng.chance(share) {
            *block = leaked(block.born, block.bytes);
        }
    }
    course(blocks)
}

/// Requests come in bursts, and each leaves one block behind.
fn one_per_burst(rng: &mut Rng) -> Course {
    let (every, number) = (rng.octaves(30.0, 1200.0), 1 + rng.below(60));
    let (sizes, mut blocks, mut at) = (Sizes::any(rng), Vec::new(), rng.between(0.0, 900.0));
    while at < RUN {
        let of_burst = |rng: &mut Rng| {
            let born = at + rng.between(0.0, 10.0);
            let died = Some(born + rng.between(0.1, 20.0));
            Block { died, leaked: false, ..leaked(born, sizes.next(rng)) }
        };
        blocks.extend((0..number).map(|_| of_burst(rng)));
        blocks.push(leaked(at, sizes.next(rng)));
        at += every * rng.between(0.7, 1.3);
    }
    course(blocks)
}

/// Each step of a loop keeps one to four blocks.
fn per_step(rng: &mut Rng) -> Course {
    let (step, number) = (rng.octaves(3.0, 120.0), 1 + rng.below(4));
    let (rate, mut blocks, mut at) = (rate(rng), Vec::new(), rng.between(10.0, 600.0));
    let bytes = ((rate * step / number as f64) as u64).next_multiple_of(512);
    while at < RUN {
        blocks.extend((0..number).map(|_| leaked(at, bytes)));
        at += step * rng.between(0.9, 1.1);
    }
    course(blocks)
}
