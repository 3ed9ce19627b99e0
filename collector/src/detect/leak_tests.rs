//! Leaks where they are and only there.

use super::leak::{Finding, Held, Leaks, Sureness};
use super::tables::{Entry, Tables};
use super::thresholds::{BY_STEPS, BY_TIME, MINUTE};
use crate::state::Site;

const MIB: u64 = 1 << 20;
const SITE: Site = Site { native: 1, python: 1 };
const BEGIN: u64 = 1_000 * MINUTE;

/// A block of [`SITE`]: born and, perhaps, given back, in minutes since the beginning.
type Block = (u64, Option<u64>);

/// Findings of looks every ten minutes over `minutes`, at blocks of 1 MiB.
fn looks(minutes: u64, blocks: &[Block]) -> Vec<Vec<Finding>> {
    let mut leaks = Leaks::new(BY_TIME, BEGIN);
    let at = |minute: u64| BEGIN + minute * MINUTE;
    let mut found = Vec::new();
    for minute in 0..=minutes {
        for (born, _) in blocks.iter().filter(|block| block.0 == minute) {
            leaks.born(SITE, at(*born));
        }
        for (born, _) in blocks.iter().filter(|block| block.1 == Some(minute)) {
            leaks.died(SITE, at(*born), at(minute));
        }
        if minute % 10 == 0 {
            let live = |block: &&Block| block.0 <= minute && block.1.is_none_or(|d| d > minute);
            let live = blocks.iter().filter(live);
            let held = live.map(|block| Held { site: SITE, born: at(block.0), bytes: MIB });
            found.push(leaks.look(at(minute), held));
        }
    }
    found
}

fn sureness(found: &[Vec<Finding>]) -> Option<Sureness> {
    found.iter().flatten().map(|finding| finding.sureness).max()
}

/// One block a minute that lives for two minutes, and one that stays.
fn leaking(minutes: impl Iterator<Item = u64>) -> Vec<Block> {
    minutes.flat_map(|minute| [(minute, Some(minute + 2)), (minute, None)]).collect()
}

#[test]
fn half_of_the_blocks_stay_and_it_is_a_leak_of_their_rate() {
    let found = looks(240, &leaking(0..240));
    let last = found.last().unwrap()[0];
    assert_eq!((last.site, last.sureness, last.known_cache), (SITE, Sureness::Alert, false));
    assert!((last.rate / MIB as f64 - 1.0).abs() < 0.01, "{last:?}");
    assert!(last.rate_between[0] <= last.rate && last.rate <= last.rate_between[1]);
    assert_eq!((last.since, last.maturity), (BEGIN + 48 * MINUTE, 5 * MINUTE));
    // From minute 60 to 240 less a fifth and the youngest five minutes.
    assert_eq!(last.blocks, 240 - 48 - 5 + 1);
    assert_eq!(last.bytes, last.blocks * MIB);
}

#[test]
fn it_is_suspect_before_it_is_sure_and_neither_at_the_first_look() {
    let found = looks(240, &leaking(0..240));
    let first = |sureness| {
        found.iter().position(|look| look.iter().any(|finding| finding.sureness == sureness))
    };
    let (suspect, alert) = (first(Sureness::Suspect).unwrap(), first(Sureness::Alert).unwrap());
    assert!(suspect * 10 >= 30 + 10 + 10 && suspect < alert && alert * 10 >= 60 + 10 + 10);
}

/// 200 blocks that stay, ever fewer in a minute: two in three of those left come in half an hour.
fn slackening() -> Vec<Block> {
    let left = |n: u32| 1.0 - f64::from(n) / 200.0;
    (0..200).map(|n| ((-30.0 * left(n).ln()) as u64, None)).collect()
}

#[test]
fn what_is_made_once_for_each_of_so_many_keys_is_suspect_at_most() {
    let found = looks(240, &slackening());
    assert_eq!(sureness(&found), Some(Sureness::Suspect));
    assert!(found.iter().flatten().any(|finding| finding.slackens));
    // With as many beside it that come and go, the load has fallen, and it leaks.
    let mut blocks = slackening();
    blocks.extend(slackening().into_iter().map(|(born, _)| (born, Some(born + 1))));
    blocks.extend(slackening().into_iter().map(|(born, _)| (born, Some(born + 1))));
    assert_eq!(sureness(&looks(240, &blocks)), Some(Sureness::Alert));
}

#[test]
fn a_leak_that_begins_late_is_told_from_the_time_it_began() {
    let mut blocks: Vec<Block> = (0..300).map(|minute| (minute, Some(minute + 2))).collect();
    blocks.extend((150..300).map(|minute| (minute, None)));
    let found = looks(300, &blocks);
    assert_eq!(found.last().unwrap()[0].since, BEGIN + 150 * MINUTE);
}

#[test]
fn a_known_cache_is_suspect_at_most() {
    let found = looks(240, &leaking(0..240)).last().unwrap()[0].of_known_cache();
    assert_eq!((found.sureness, found.known_cache), (Sureness::Suspect, true));
}

#[test]
fn a_model_that_stays_is_no_leak() {
    assert_eq!(sureness(&looks(240, &leaking(0..20))), None);
}

#[test]
fn a_cache_that_is_full_is_no_leak() {
    assert_eq!(sureness(&looks(240, &leaking(48..120)[..])[20..]), None);
}

#[test]
fn a_queue_of_fifty_minutes_is_no_leak() {
    let blocks: Vec<Block> = (0..240).map(|minute| (minute, Some(minute + 50))).collect();
    assert!(sureness(&looks(240, &blocks)) < Some(Sureness::Alert));
}

#[test]
fn a_queue_that_is_longer_than_an_alert_takes_is_no_leak_once_its_blocks_were_seen_to_go() {
    let blocks: Vec<Block> = (0..240).map(|minute| (minute, Some(minute + 75))).collect();
    assert!(sureness(&looks(240, &blocks)) < Some(Sureness::Alert));
}

#[test]
fn blocks_that_thin_out_with_age_are_no_leak() {
    // A thousandth lives long, so that the ordinary lifetime does not tell; of the survivors the
    // older are ever fewer.
    let mut blocks: Vec<Block> =
        (0..240).flat_map(|minute| (0..20).map(move |_| (minute, Some(minute + 1)))).collect();
    blocks.extend((0..240).filter(|n| n * n % 240 < *n || *n > 200).map(|n| (n, None)));
    let thin: Vec<Block> = blocks
        .into_iter()
        .filter(|(born, died)| died.is_some() || *born > 150 || born % 9 == 0)
        .collect();
    assert_eq!(sureness(&looks(240, &thin)), None);
}

#[test]
fn little_is_no_leak() {
    let blocks: Vec<Block> = (0..240).step_by(3).map(|minute| (minute, None)).collect();
    assert_eq!(sureness(&looks(240, &blocks)), None, "a third of a MiB a minute");
}

#[test]
fn by_steps_a_block_a_step_is_a_leak_after_sixty() {
    let mut leaks = Leaks::new(BY_STEPS, 0);
    let mut alerted = None;
    for step in 0..240 {
        leaks.born(SITE, step);
        let live = (0..=step).map(|born| Held { site: SITE, born, bytes: MIB / 8 });
        let found = leaks.look(step, live);
        if found.iter().any(|finding| finding.sureness == Sureness::Alert) {
            alerted.get_or_insert(step);
            assert!((found[0].rate * 8.0 / MIB as f64 - 1.0).abs() < 0.01);
        }
    }
    assert!((60 + 5 + 5..120).contains(&alerted.unwrap()), "{alerted:?}");
}

#[test]
fn live_tables_alone_tell_the_same_leak() {
    let (mut leaks, mut tables) = (Leaks::new(BY_TIME, BEGIN), Tables::default());
    let (blocks, mut last) = (leaking(0..240), Vec::new());
    for minute in 0..=240 {
        let live = |block: &&(usize, Block)| {
            let (born, died) = block.1;
            born <= minute && died.is_none_or(|died| died > minute)
        };
        let blocks: Vec<(usize, Block)> = blocks.iter().copied().enumerate().collect();
        let entries = blocks.iter().filter(live).map(|(address, (born, _))| Entry {
            address: *address as u64,
            held: Held { site: SITE, born: BEGIN + born * MINUTE, bytes: MIB },
        });
        last = tables.look(&mut leaks, BEGIN + minute * MINUTE, entries.collect());
    }
    assert_eq!((last[0].sureness, last[0].maturity), (Sureness::Alert, 5 * MINUTE));
    assert!((last[0].rate / MIB as f64 - 1.0).abs() < 0.01);
}

#[test]
fn a_clock_that_jumps_and_a_look_in_the_past_are_survived() {
    let mut leaks = Leaks::new(BY_TIME, BEGIN);
    leaks.born(SITE, u64::MAX);
    leaks.born(SITE, 0);
    leaks.died(SITE, u64::MAX, 0);
    let held = |born| Held { site: SITE, born, bytes: MIB };
    assert_eq!(leaks.look(0, [held(u64::MAX), held(0)]), []);
    assert_eq!(leaks.look(u64::MAX, [held(u64::MAX), held(0)]), []);
    let damaged = (0..300).map(|n| Held { bytes: u64::MAX, ..held(BEGIN + n * MINUTE) });
    assert_eq!(leaks.look(BEGIN + 300 * MINUTE, damaged), [], "seen but once");
}
