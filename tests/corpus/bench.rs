//! What a look costs: sixteen processes, each with 100,000 live blocks of 5,000 sites.

use std::time::{Duration, Instant};

use collector::detect::growth::Growth;
use collector::detect::leak::{Held, Leaks};
use collector::detect::tables::{Entry, Tables};
use collector::detect::thresholds::{BY_TIME, MINUTE};
use collector::state::Site;

use crate::rng::Rng;

const PROCESSES: u64 = 16;
const BLOCKS: usize = 100_000;
const SITES: u64 = 5_000;
const HOURS: u64 = 4;

/// What all processes together take, of one core.
pub struct Cost {
    /// A look at every site of every process.
    pub look: Duration,
    /// The same from live tables alone.
    pub tables: Duration,
    /// Telling one block's birth or death.
    pub event: Duration,
    /// Sites suspect or more, which shows that there was something to judge.
    pub found: usize,
}

/// Measures it.
pub fn measure() -> Cost {
    let zero = Duration::ZERO;
    let mut cost = Cost { look: zero, tables: zero, event: zero, found: 0 };
    let (now, before) = (HOURS * 60 * MINUTE, (HOURS * 60 - 10) * MINUTE);
    for process in 0..PROCESSES {
        let mut rng = Rng::new("bench", process);
        let live = live(&mut rng, now);
        let (mut leaks, mut totals) = (Leaks::new(BY_TIME, 0), Growth::new(BY_TIME));
        let begun = Instant::now();
        for held in &live {
            leaks.born(held.site, held.born);
            leaks.died(held.site, held.born.saturating_sub(MINUTE / 9), held.born);
            totals.push(held.born, held.bytes);
        }
        cost.event += begun.elapsed() / (2 * BLOCKS as u32 * PROCESSES as u32);
        leaks.look(before, live.iter().copied());
        let begun = Instant::now();
        cost.found += leaks.look(now, live.iter().copied()).len();
        std::hint::black_box(totals.check());
        cost.look += begun.elapsed();

        let (mut leaks, mut tables) = (Leaks::new(BY_TIME, 0), Tables::default());
        let entries: Vec<Entry> =
            (0..).zip(&live).map(|(address, held)| Entry { address, held: *held }).collect();
        tables.look(&mut leaks, before, entries.clone());
        let begun = Instant::now();
        tables.look(&mut leaks, now, entries);
        cost.tables += begun.elapsed();
    }
    cost
}

/// Blocks of all sites, born over all the time, by birth.
fn live(rng: &mut Rng, now: u64) -> Vec<Held> {
    let one = |_| {
        let site = Site { native: rng.below(SITES) as u32, python: 1 };
        Held { site, born: rng.below(now), bytes: 32 << 20 }
    };
    let mut live: Vec<Held> = (0..BLOCKS).map(one).collect();
    live.sort_unstable_by_key(|held| held.born);
    live
}
