//! What a look costs: sixteen processes, each with 100,000 live blocks of 5,000 sites.

use std::time::{Duration, Instant};

use collector::detect::fragmentation;
use collector::detect::growth::Growth;
use collector::detect::leak::{Held, Leaks};
use collector::detect::tables::{Entry, Tables};
use collector::detect::thresholds::{BY_TIME, MINUTE};
use collector::ledger::{End, Event, Gauges, Health, Identity, Instance, Step, Tables as Stacks};
use collector::present::build::{Detail, build};
use collector::process::{Detectors, Job, Losses, Player, Process};
use collector::state::Site;
use wire::record::{Class, Record, Verb};

use crate::rng::Rng;

const PROCESSES: u64 = 16;
const BLOCKS: usize = 100_000;
const SITES: u64 = 5_000;
const HOURS: u64 = 4;
/// Blocks in a segment.
const IN_SEGMENT: u64 = 50;

/// What all processes together take, of one core.
pub struct Cost {
    /// A look at every site of every process.
    pub look: Duration,
    /// The same from live tables alone.
    pub tables: Duration,
    /// The last look at each process by all detectors of its timeline.
    pub finish: Duration,
    /// The map of each process, and what is stranded in it.
    pub map: Duration,
    /// The report: what is told of single moments (fragmentation among it), and all that is no detector's. It puts
    /// the maps together once more.
    pub report: Duration,
    /// Telling one block's birth or death.
    pub event: Duration,
    /// Sites suspect or more, which shows that there was something to judge.
    pub found: usize,
}

/// Measures it.
pub fn measure() -> Cost {
    let zero = Duration::ZERO;
    let mut cost = Cost {
        look: zero,
        tables: zero,
        finish: zero,
        map: zero,
        report: zero,
        event: zero,
        found: 0,
    };
    let mut players = Vec::new();
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
        players.push(played(&live));
    }
    let begun = Instant::now();
    let processes: Vec<Process> =
        (0..).zip(players).map(|(pid, player)| process(pid, player)).collect();
    cost.finish = begun.elapsed();
    let begun = Instant::now();
    for process in &processes {
        let segments = process.played.state.segments(0);
        std::hint::black_box(fragmentation::map(&segments, now));
    }
    cost.map = begun.elapsed();
    let begun = Instant::now();
    let report = build(&Job { processes, ..Job::default() }, Detail::default());
    cost.report = begun.elapsed();
    std::hint::black_box(report);
    cost
}

/// A process that took all of `live`, fifty blocks to a segment, to the moment before a look.
fn played(live: &[Held]) -> Player<Detectors> {
    let mut player = Player::<Detectors>::default();
    let mut record = Record {
        time: 0,
        address: 0,
        size: 0,
        aux: 0,
        verb: Verb::Alloc,
        class: Class::Linear,
        api: 0,
        device: 0,
        result: 0,
        tid: 1,
        flags: 0,
        native: 0,
        python: 0,
    };
    let mut play = |record: Record| {
        player.step(Step::Event(&Event { position: 0, record, extra: None }));
    };
    for (at, held) in (0..).zip(live) {
        let (segment, block) = (at / IN_SEGMENT, at % IN_SEGMENT);
        (record.time, record.address) = (held.born, (segment + 1) << 32);
        if block == 0 {
            (record.class, record.size, record.native) = (Class::Linear, 1 << 31, 1);
            play(record);
        }
        // Between two blocks is as much room as in them.
        record.address += block * 2 * held.bytes;
        (record.class, record.size, record.python) = (Class::Block, held.bytes, held.site.native);
        play(record);
    }
    player
}

fn process(pid: u32, player: Player<Detectors>) -> Process {
    let gauges = Gauges { uuid: [1, 2], total: u64::MAX / 2, ..Gauges::default() };
    let identity = Identity {
        instance: Instance([0, pid.into()]),
        pid,
        pid_namespace: 0,
        start_ticks: 0,
        started_monotonic: 0,
        started_realtime: 0,
        command: Vec::new(),
        executable: String::new(),
        environment: Default::default(),
        driver_version: 0,
    };
    Process {
        pid,
        identity,
        health: Health::default(),
        gauges: vec![gauges],
        end: End::Running,
        role: None,
        command: String::new(),
        tables: Stacks::default(),
        played: player.finish(),
        in_flight: 0,
        losses: Losses::default(),
        warnings: Vec::new(),
    }
}

/// Blocks of all sites, born over all the time, by birth.
fn live(rng: &mut Rng, now: u64) -> Vec<Held> {
    let one = |_| {
        let site = Site { native: rng.below(SITES) as u32, python: 1 };
        Held { site, born: rng.below(now), bytes: 16 << 20 }
    };
    let mut live: Vec<Held> = (0..BLOCKS).map(one).collect();
    live.sort_unstable_by_key(|held| held.born);
    live
}
