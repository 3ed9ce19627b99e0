//! Creep where it is and only there; and the detector against the rule written down naively.

use proptest::prelude::*;

use super::creep::{
    Creep, DEFAULT_GAIN, DEFAULT_JUMPS, DEFAULT_RISE, DEFAULT_RISE_SHARE, DEFAULT_STEADY,
    DEFAULT_STEADY_SHARE, DEFAULT_TROUGHS, Finding, Verdict,
};
use crate::state::Site;

const MIB: u64 = 1 << 20;
const RESIZE: Site = Site { native: 1, python: 1 };
const OTHER: Site = Site { native: 2, python: 2 };

/// A process with a caching allocator that takes what it lacks and keeps it.
#[derive(Default)]
struct Process {
    detector: Creep,
    time: u64,
    allocated: u64,
    reserved: u64,
}

impl Process {
    fn step(&mut self, grown: Option<(Site, u64)>) {
        self.time += 1;
        self.detector.push(self.time, self.allocated, self.reserved, grown.into_iter());
    }

    fn take(&mut self, bytes: u64, site: Site) {
        self.allocated += bytes;
        let lacking = self.allocated.saturating_sub(self.reserved);
        self.reserved += lacking;
        self.step((lacking > 0).then_some((site, lacking)));
    }

    fn give(&mut self, bytes: u64) {
        self.allocated -= bytes;
        self.step(None);
    }

    fn empty_cache(&mut self) {
        self.reserved = self.allocated;
        self.step(None);
    }

    /// A request that takes scratch memory in four pieces and gives it all back.
    fn request(&mut self, mib: u64) {
        (0..4).for_each(|_| self.take(mib * MIB / 4, RESIZE));
        (0..4).for_each(|_| self.give(mib * MIB / 4));
    }

    fn verdict(&mut self) -> Verdict {
        // The rise after the last request, without which its end is no trough.
        self.take(64 * MIB, OTHER);
        self.give(64 * MIB);
        self.detector.check()
    }

    fn finding(&mut self) -> Finding {
        match self.verdict() {
            Verdict::Creep(finding) => finding,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn reserved_that_follows_the_largest_request_creeps() {
    let mut process = Process::default();
    process.take(100 * MIB, OTHER);
    for mib in [200, 240, 180, 320, 300, 400, 220, 480] {
        process.request(mib);
    }
    let finding = process.finding();
    assert_eq!((finding.bytes, finding.base), (280 * MIB, 100 * MIB));
    assert_eq!((finding.troughs, finding.reserved), (8, 580 * MIB));
    let jumps: Vec<u64> = finding.jumps.iter().map(|jump| jump.bytes / MIB).collect();
    assert_eq!(jumps, [40, 80, 80, 80]);
    assert_eq!((finding.site, finding.jumps[0].site), (Some(RESIZE), Some(RESIZE)));
    assert!(!finding.plateaued);
    assert_eq!(finding.since, 1 + 8);
}

#[test]
fn requests_of_one_size_do_not_creep() {
    let mut process = Process::default();
    (0..50).for_each(|_| process.request(300));
    assert_eq!(process.verdict(), Verdict::Fine);
}

#[test]
fn memory_given_back_after_each_request_does_not_creep() {
    let mut process = Process::default();
    process.take(100 * MIB, OTHER);
    for n in 0..50 {
        process.request(100 + 20 * n);
        process.empty_cache();
    }
    assert_eq!(process.verdict(), Verdict::Fine);
}

#[test]
fn memory_given_back_while_some_is_still_in_use_does_not_creep() {
    let mut process = Process::default();
    process.take(100 * MIB, OTHER);
    for n in 0..50 {
        process.request(100 + 20 * n);
        process.take(8 * MIB, OTHER);
        process.empty_cache();
        process.give(8 * MIB);
    }
    assert_eq!(process.verdict(), Verdict::Fine);
}

#[test]
fn a_leak_is_not_a_creep_however_large_the_program() {
    for base in [100, 20_000] {
        for leaked in [2, 10, 100] {
            let mut process = Process::default();
            process.take(base * MIB, OTHER);
            for _ in 0..60 {
                process.request(200);
                process.take(leaked * MIB, OTHER);
                let verdict = process.detector.check();
                assert!(!matches!(verdict, Verdict::Creep(_)), "{base} {leaked} {verdict:?}");
            }
        }
    }
}

#[test]
fn a_warm_up_s_jump_and_a_leak_s_after_it_are_no_creep() {
    for leaked in [256, 1024, 7 * 1024] {
        let mut process = Process::default();
        process.take(500 * MIB, OTHER);
        process.request(80);
        process.request(168);
        for _ in 0..300 {
            process.request(168);
            process.take(leaked << 10, OTHER);
            // An allocator takes more than it lacks.
            if process.reserved - process.allocated < 168 * MIB {
                process.reserved += 20 * MIB;
                process.step(Some((OTHER, 20 * MIB)));
            }
            let verdict = process.detector.check();
            assert!(!matches!(verdict, Verdict::Creep(_)), "{leaked} {verdict:?}");
        }
    }
}

#[test]
fn a_creep_beside_a_leak_is_counted_without_it() {
    let mut process = Process::default();
    process.take(20_000 * MIB, OTHER);
    for n in 0..40 {
        process.request(200 + 40 * n);
        process.take(5 * MIB, OTHER);
    }
    let finding = process.finding();
    let crept = 40 * 39 * MIB;
    assert!(finding.bytes <= crept && finding.bytes > crept * 9 / 10, "{finding:?}");
}

#[test]
fn a_creep_that_stopped_has_plateaued() {
    let mut process = Process::default();
    [100, 200, 300, 400].into_iter().for_each(|mib| process.request(mib));
    (0..4).for_each(|_| process.request(150));
    assert!(!process.finding().plateaued || process.finding().troughs > 6);
    (0..12).for_each(|_| process.request(150));
    assert!(process.finding().plateaued);
    [500, 600, 700].into_iter().for_each(|mib| process.request(mib));
    assert!(!process.finding().plateaued);
}

#[test]
fn a_few_requests_say_nothing_yet() {
    let mut process = Process::default();
    [100, 200, 300, 400].into_iter().for_each(|mib| process.request(mib));
    assert_eq!(process.verdict(), Verdict::NotEnough);
}

#[test]
fn a_model_loaded_once_does_not_hide_small_requests() {
    let mut process = Process::default();
    process.take(40_000 * MIB, OTHER);
    process.give(20_000 * MIB);
    process.empty_cache();
    for n in 0..40 {
        process.request(100 + 20 * n);
    }
    assert!(process.finding().bytes > 300 * MIB);
}

#[test]
fn a_million_requests_are_no_more_work_than_some_and_forget_nothing_that_matters() {
    let mut process = Process::default();
    process.take(100 * MIB, OTHER);
    for n in 0..1_000_000 {
        process.request(100 + n / 1000);
    }
    let finding = process.finding();
    assert!(!finding.plateaued);
    assert!(finding.bytes > 980 * MIB && finding.jumps.len() < 2048, "{}", finding.bytes);
    assert_eq!(finding.site, Some(RESIZE));
}

/// The series after each event: allocated and reserved.
type Series = [(u64, u64)];

/// A trough: index, allocated, reserved.
type Trough = (usize, u64, u64);

/// Indices at which `values` has a minimum between two rises of `step`.
fn minima(values: &[u64], step: u64) -> Vec<usize> {
    let rises = |side: &mut dyn Iterator<Item = &u64>, low: u64, ends: fn(u64, u64) -> bool| {
        for value in side {
            if ends(*value, low) {
                return false;
            }
            if *value >= low + step {
                return true;
            }
        }
        false
    };
    let found = |at: &usize| {
        let low = values[*at];
        rises(&mut values[..*at].iter().rev(), low, |value, low| value <= low)
            && rises(&mut values[at + 1..].iter(), low, |value, low| value < low)
    };
    (0..values.len()).filter(found).collect()
}

/// The rule over the turns of one stretch: bytes gained, jumps, plateaued.
fn naive_stretch(values: &[u64], reserved: &[u64]) -> Option<(u64, usize, bool)> {
    // values: peak, trough, peak, trough, ..., peak; reserved: one per trough.
    let range = values.iter().max()? - values.iter().skip(1).step_by(2).min()?;
    let step = DEFAULT_RISE.max(range / DEFAULT_RISE_SHARE);
    let troughs: Vec<Trough> = minima(values, step)
        .into_iter()
        .map(|at| {
            let valley =
                values[at..].iter().take_while(|value| **value < values[at] + step).count();
            let kept = (at..at + valley).filter(|at| at % 2 == 1).map(|at| reserved[at / 2]).min();
            (at, values[at], kept.unwrap())
        })
        .collect();
    let median = |troughs: &[Trough]| {
        let mut values: Vec<u64> = troughs.iter().map(|trough| trough.1).collect();
        values.sort_unstable();
        values[values.len() / 2]
    };
    let steady = (0..troughs.len()).find(|from| {
        let median = median(&troughs[*from..]);
        let near = DEFAULT_STEADY.max(median / DEFAULT_STEADY_SHARE);
        troughs[*from..].iter().all(|trough| trough.1.abs_diff(median) <= near)
    })?;
    let least = troughs[steady..].iter().map(|trough| trough.2).min()?;
    let first = troughs.iter().rposition(|trough| trough.2 == least)?.max(steady);
    let stretch = &troughs[first..];
    if stretch.len() < DEFAULT_TROUGHS {
        return None;
    }
    let third = stretch.len().div_ceil(3);
    let rose = median(&stretch[stretch.len() - third..]).saturating_sub(median(&stretch[..third]));
    let rose = rose * (stretch.len() as u64 - 1) / (stretch.len() - third) as u64;
    let gain = (stretch.last()?.2 - stretch[0].2).saturating_sub(rose);
    let record = |at: &usize| stretch[..*at].iter().all(|before| before.2 < stretch[*at].2);
    let records: Vec<usize> = (1..stretch.len()).filter(record).collect();
    // Troughs of the stretch before and with the last jump, the smaller ones between them too.
    let passed = |to: usize| {
        let before = if first == 0 { 0 } else { troughs[first - 1].0.div_ceil(2) };
        (stretch[to].0.div_ceil(2) - before) as u64
    };
    let after = |to: usize| passed(to) - passed(0);
    let beyond = |at: usize| {
        let base = rose * after(at) / after(stretch.len() - 1);
        (stretch[at].2 - stretch[0].2).saturating_sub(base)
    };
    let mut jumps: Vec<usize> = Vec::new();
    let mut highest = stretch[0].2;
    for at in records {
        let most = jumps.last().map_or(0, |last| beyond(*last));
        let jump = stretch[at].2 - std::mem::replace(&mut highest, stretch[at].2);
        if rose == 0 || beyond(at) > most + jump / 2 {
            jumps.push(at);
        }
    }
    let plateaued = passed(*jumps.last()?) * 3 <= passed(stretch.len() - 1) * 2;
    (gain >= DEFAULT_GAIN && jumps.len() >= DEFAULT_JUMPS).then_some((gain, jumps.len(), plateaued))
}

fn naive(series: &Series) -> Option<(u64, usize, bool)> {
    let allocated: Vec<u64> = series.iter().map(|point| point.0).collect();
    let troughs = minima(&allocated, DEFAULT_RISE);
    let mut values = Vec::new();
    let mut reserved = Vec::new();
    let mut from = 0;
    for at in troughs.iter().copied() {
        values.extend([allocated[from..=at].iter().copied().max()?, allocated[at]]);
        from = at;
        let rise = (at..series.len()).find(|to| allocated[*to] >= allocated[at] + DEFAULT_RISE)?;
        reserved.push(series[at..=rise].iter().map(|point| point.1).min()?);
    }
    values.push(allocated[from..].iter().copied().max()?);
    let mut start = 0;
    while troughs.len() - start >= DEFAULT_TROUGHS {
        let found = naive_stretch(&values[2 * start..], &reserved[start..]);
        if found.is_some() {
            return found;
        }
        start += (troughs.len() - start).div_ceil(2);
    }
    None
}

/// Pieces of a series: most are requests, so that the rule has something to say.
fn pieces() -> impl Strategy<Value = Vec<(u64, u64)>> {
    let request = (20..200u64, 0..3u64, 0..60u64, 0..4u64).prop_map(|(up, left, more, keeps)| {
        // Allocated up and back (but for what is left), reserved up to `more` and perhaps emptied.
        (up, left * 7 * u64::from(keeps == 0) + more * 1000 + keeps * 1_000_000)
    });
    prop::collection::vec(request, 4..30)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_detector_says_what_the_rule_says(
        base in 0..300u64,
        pieces in pieces(),
        noise in prop::collection::vec((0..40u64, 0..400u64), 0..20),
    ) {
        let mut series = vec![(base * MIB, base * MIB)];
        let mut reserved = base;
        let mut allocated = base;
        for (n, (up, coded)) in pieces.into_iter().enumerate() {
            let (left, more, keeps) = (coded % 1000, coded / 1000 % 1000, coded / 1_000_000);
            let wiggle = noise.get(n).copied().unwrap_or_default();
            for part in [up / 2, up, up.saturating_sub(wiggle.0), up, left] {
                reserved = reserved.max(allocated + part).max(if more > 40 { reserved + more } else { 0 });
                series.push(((allocated + part) * MIB, reserved * MIB));
            }
            allocated += left;
            if keeps == 3 && wiggle.1 > 300 {
                reserved = allocated;
                series.push((allocated * MIB, reserved * MIB));
            }
        }
        let mut detector = Creep::default();
        for (time, (allocated, reserved)) in series.iter().enumerate() {
            detector.push(time as u64, *allocated, *reserved, std::iter::empty());
        }
        let said = match detector.check() {
            Verdict::Creep(finding) => Some((finding.bytes, finding.jumps.len(), finding.plateaued)),
            _ => None,
        };
        prop_assert_eq!(said, naive(&series));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_series_can_upset_the_detector(
        series in prop::collection::vec(
            prop_oneof![
                (0..8u64, 0..8u64).prop_map(|(a, r)| (a << 27, r << 27)),
                any::<(u64, u64)>(),
            ],
            0..80,
        ),
    ) {
        let mut detector = Creep::default();
        for (allocated, reserved) in series {
            detector.push(0, allocated, reserved, [(RESIZE, u64::MAX)].into_iter());
            let _ = detector.check();
        }
    }
}
