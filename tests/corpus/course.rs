//! What the families are made of: blocks of a site, moments, sizes.

use crate::rng::Rng;

/// A block by its true course. Positions are seconds, or steps.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    /// When it is taken.
    pub born: f64,
    /// When it is given back; never, if it leaks or stays.
    pub died: Option<f64>,
    /// Its size.
    pub bytes: u64,
    /// Nobody will give it back, and somebody should.
    pub leaked: bool,
}

/// What a site did in a run.
#[derive(Clone, Debug)]
pub struct Course {
    /// The innermost frame of the user's code.
    pub frame: &'static str,
    /// Its blocks, in any order.
    pub blocks: Vec<Block>,
}

/// What the positions of a run are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Seconds, of four hours.
    Seconds,
    /// Steps, of 240.
    Steps,
}

impl Unit {
    /// The length of a run.
    pub const fn run(self) -> f64 {
        match self {
            Self::Seconds => 4.0 * 3600.0,
            Self::Steps => 240.0,
        }
    }

    /// How many positions make the unit of a rate: a minute, or a step.
    pub const fn of_rate(self) -> f64 {
        match self {
            Self::Seconds => 60.0,
            Self::Steps => 1.0,
        }
    }
}

/// A block that is given back.
pub const fn block(born: f64, died: f64, bytes: u64) -> Block {
    Block { born, died: Some(died), bytes, leaked: false }
}

/// A block that stays, as it should.
pub const fn stays(born: f64, bytes: u64) -> Block {
    Block { born, died: None, bytes, leaked: false }
}

/// A block that nobody gives back.
pub const fn leaked(born: f64, bytes: u64) -> Block {
    Block { born, died: None, bytes, leaked: true }
}

/// A site's usual size, and one block's in proportion to it.
pub struct Sizes {
    usual: f64,
    differ: bool,
}

impl Sizes {
    /// From a few KiB to some MiB; in every other site blocks differ in size.
    pub fn any(rng: &mut Rng) -> Self {
        Self::of(rng, 16.0 * 1024.0, 32.0 * 1024.0 * 1024.0)
    }

    /// From `low` to `high`.
    pub fn of(rng: &mut Rng, low: f64, high: f64) -> Self {
        Self { usual: rng.octaves(low, high), differ: rng.chance(0.5) }
    }

    /// The size of the next block: a multiple of 512, as PyTorch's allocator rounds.
    pub fn next(&self, rng: &mut Rng) -> u64 {
        let bytes = if self.differ { self.usual * rng.octaves(0.5, 2.0) } else { self.usual };
        (bytes as u64).next_multiple_of(512)
    }

    /// The mean size.
    pub const fn mean(&self) -> f64 {
        self.usual
    }
}

/// Moments from `from` to `to` that come by chance, `rate` in a position.
pub fn moments(rng: &mut Rng, rate: f64, from: f64, to: f64) -> Vec<f64> {
    let mut moments = Vec::new();
    let mut at = from + rng.wait(rate);
    while at < to {
        moments.push(at);
        at += rng.wait(rate);
    }
    moments
}
