//! Timelines played through to what the report says of leaks and growth.

use std::collections::BTreeMap;

use collector::{
    ledger::{End, Event, Live, Step},
    present::{
        build::{Detail, build},
        report::{Confidence, Direction, Finding, Report},
        text,
    },
    process::{Detectors, Player, Process},
    state::Site,
};
use wire::{
    live::Entry,
    mark::{Kind, Mark},
    record::{Class, Record, Verb},
};

mod made;
use made::*;

const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
/// When timelines begin.
const BEGIN: u64 = 1_000 * SECOND;
/// A Python stack of which nothing is known, for what comes and goes.
const OTHER: u32 = 99;

/// A process's timeline while it is made, and what it holds.
#[derive(Default)]
struct Timeline {
    player: Player<Detectors>,
    held: BTreeMap<u64, (u64, u64, u32)>,
    next: u64,
    position: u64,
}

impl Timeline {
    fn event(&mut self, record: Record) {
        self.position += 1;
        let event = Event { position: self.position, record, extra: None };
        self.player.step(Step::Event(&event));
    }

    fn block(&mut self, verb: Verb, time: u64, address: u64, age: u64, size: u64, python: u32) {
        self.event(Record {
            time,
            address,
            size,
            aux: age,
            verb,
            class: Class::Block,
            api: 0,
            device: 0,
            result: 0,
            tid: 1,
            flags: 0,
            native: 0,
            python,
        });
    }

    /// Takes a block and returns its address.
    fn take(&mut self, time: u64, size: u64, python: u32) -> u64 {
        self.next += 1;
        let address = self.next << 32;
        self.held.insert(address, (time, size, python));
        self.block(Verb::Alloc, time, address, 0, size, python);
        address
    }

    fn give_back(&mut self, time: u64, address: u64) {
        let (born, size, python) = self.held.remove(&address).expect("it is held");
        self.block(Verb::FreeBegin, time, address, time - born, size, python);
    }

    /// A block that is given back before the next.
    fn pass(&mut self, time: u64) {
        let address = self.take(time, 8 * MIB, OTHER);
        self.give_back(time + SECOND, address);
    }

    fn mark(&mut self, time: u64, kind: Kind) {
        let mark = Mark { kind, name: 5, number: None, domain: 0, range: 0 };
        self.event(mark.record(time, 1));
    }

    fn live(&self) -> Vec<Live> {
        let entry = |(at, (born, size, python)): (&u64, &(u64, u64, u32))| Entry {
            address: *at,
            class: Class::Block,
            device: 0,
            flags: 0,
            size: *size,
            native: 0,
            python: *python,
            birth_us: born / 1000,
            link: 0,
        };
        let entries = self.held.iter().map(entry).enumerate();
        entries.map(|(n, entry)| Live { index: n as u32, freeing: false, entry }).collect()
    }

    /// Slots are lost until now; what is held now is known.
    fn hole(&mut self, then: impl FnOnce(&mut Self)) {
        self.player.step(Step::Lost(10));
        // What happens in the hole nobody sees.
        let seen = std::mem::take(&mut self.player);
        then(self);
        self.player = seen;
        let live = self.live();
        self.player.step(Step::Live(&live));
    }

    fn finish(mut self, pid: u32, end: End) -> Process {
        let live = self.live();
        self.player.step(Step::Live(&live));
        let played = self.player.finish();
        let mut process = process(pid, end);
        for gauges in &mut process.gauges {
            gauges.total = 80 << 30;
        }
        Process { played, ..process }
    }
}

/// So many hours in which each minute a request passes and, if `leaks`, leaves 1 MiB behind.
fn hours(hours: u64, leaks: bool) -> Timeline {
    let mut timeline = Timeline::default();
    timeline.take(BEGIN, 512 * MIB, OTHER);
    for minute in 0..hours * 60 {
        let time = BEGIN + minute * MINUTE;
        timeline.pass(time);
        if leaks {
            timeline.take(time + 2 * SECOND, MIB, PYTHON);
        }
    }
    timeline
}

/// So many steps of ten seconds, each of which leaves 2 MiB behind from `from` on.
fn steps(timeline: &mut Timeline, steps: std::ops::Range<u64>, from: u64) {
    for step in steps {
        let time = BEGIN + step * 10 * SECOND;
        timeline.mark(time, Kind::Begin);
        timeline.pass(time + SECOND);
        if step >= from {
            timeline.take(time + 3 * SECOND, 2 * MIB, PYTHON);
        }
        timeline.mark(time + 10 * SECOND - 1, Kind::End);
    }
}

fn report(processes: Vec<Process>) -> Report {
    build(&job(processes), Detail::default())
}

fn only(report: &Report) -> &Finding {
    let [finding] = report.findings.as_slice() else { panic!("{:#?}", report.findings) };
    finding
}

fn value(finding: &Finding, what: &str) -> (u64, Option<u64>) {
    let found = finding.evidence.iter().find(|number| number.what == what).expect(what);
    (found.value, found.limit)
}

#[test]
fn what_each_request_leaves_behind_for_hours_is_a_leak_with_line_rate_and_an_end() {
    let report = report(vec![hours(4, true).finish(7, End::Running)]);
    let finding = only(&report);
    assert_eq!((finding.verdict.as_str(), finding.confidence), ("leak", Confidence::Alert));
    assert_eq!(report.sites[&finding.site].line.as_deref(), Some("job.py:7 step"));
    let rate = finding.rate.unwrap();
    let hourly = 60 * MIB;
    assert!(rate.bytes_per_hour.abs_diff(hourly) < hourly / 20, "{rate:?}");
    assert_eq!(rate.bytes_per_step, None);
    // A fifth of the run is its warm-up, and the youngest five minutes are too young.
    assert_eq!(value(finding, "blocks that outlived their time"), (240 - 48 - 5, Some(6)));
    assert_eq!(finding.bytes, 187 * MIB);
    let start = "serve (pid 7) leaks on device 0: blocks taken at job.py:7 step are not given back: \
                 187.0 MiB in 187 blocks since ";
    assert!(finding.text.starts_with(start), "{}", finding.text);
    // 80 GiB at 60 MiB an hour are gone after more than a week.
    assert_eq!(finding.exhausted, None);
}

#[test]
fn when_the_device_is_full_follows_from_the_rate() {
    let mut process = hours(4, true).finish(7, End::Running);
    process.gauges[0].total = 1 << 30;
    let report = report(vec![process]);
    let finding = only(&report);
    let (exhausted, rate) = (finding.exhausted.unwrap(), finding.rate.unwrap());
    // No memory below the blocks is known here: all of the device is free.
    let after = |rate: u64| ((1_u128 << 30) * u128::from(HOUR) / u128::from(rate)) as u64;
    assert_eq!(exhausted.earliest_ns, report.as_of_ns + after(rate.high));
    assert_eq!(exhausted.latest_ns, Some(report.as_of_ns + after(rate.low)));
    let end =
        " At this rate the device's memory is used up in 16.7 h (16:47:27) to 17.3 h (17:21:06).";
    assert!(finding.text.ends_with(end), "{}", finding.text);
}

#[test]
fn the_same_hours_without_that_line_are_quiet() {
    assert_eq!(report(vec![hours(4, false).finish(7, End::Running)]).findings, []);
}

#[test]
fn a_process_that_gave_all_back_when_it_ended_leaked_all_the_same() {
    let mut timeline = hours(4, true);
    for address in timeline.held.keys().copied().collect::<Vec<_>>() {
        timeline.give_back(BEGIN + 4 * HOUR, address);
    }
    let report = report(vec![timeline.finish(7, End::Exited(Some(0)))]);
    let finding = only(&report);
    assert_eq!((finding.verdict.as_str(), finding.confidence), ("leak", Confidence::Alert));
    assert!(finding.text.contains(" leaked on device 0: "), "{}", finding.text);
    assert_eq!(finding.exhausted, None, "it takes no more");
}

#[test]
fn a_cache_that_was_dropped_is_no_leak_of_a_process_that_runs() {
    let mut timeline = hours(4, true);
    for address in timeline.held.keys().copied().collect::<Vec<_>>() {
        timeline.give_back(BEGIN + 4 * HOUR, address);
    }
    let report = report(vec![timeline.finish(7, End::Running)]);
    assert!(report.findings.iter().all(|finding| finding.verdict != "leak"), "{report:#?}");
}

#[test]
fn steps_count_where_there_are_some() {
    let mut timeline = Timeline::default();
    steps(&mut timeline, 0..100, 0);
    let report = report(vec![timeline.finish(7, End::Running)]);
    let finding = only(&report);
    assert_eq!((finding.verdict.as_str(), finding.confidence), ("leak", Confidence::Alert));
    let rate = finding.rate.unwrap();
    assert_eq!(rate.bytes_per_step, Some(2 * MIB));
    assert!(rate.bytes_per_hour.abs_diff(720 * MIB) < 20 * MIB, "{rate:?}");
    assert!(finding.text.contains(", 2.0 MiB a step"), "{}", finding.text);
}

#[test]
fn steps_count_after_a_start_that_took_longer_than_they() {
    let mut timeline = Timeline::default();
    timeline.take(SECOND, MIB, OTHER);
    steps(&mut timeline, 0..90, 0);
    let report = report(vec![timeline.finish(7, End::Running)]);
    assert_eq!(only(&report).rate.unwrap().bytes_per_step, Some(2 * MIB));
}

#[test]
fn a_run_that_gave_its_steps_up_is_judged_by_time() {
    let mut timeline = Timeline::default();
    steps(&mut timeline, 0..12, 20);
    for minute in 3..240 {
        timeline.pass(BEGIN + minute * MINUTE);
        timeline.take(BEGIN + minute * MINUTE + 2 * SECOND, MIB, PYTHON);
    }
    let report = report(vec![timeline.finish(7, End::Running)]);
    assert_eq!(only(&report).rate.unwrap().bytes_per_step, None);
}

#[test]
fn forty_steps_make_a_suspect_that_says_why() {
    let mut timeline = Timeline::default();
    steps(&mut timeline, 0..46, 0);
    let report = report(vec![timeline.finish(7, End::Running)]);
    let finding = only(&report);
    assert_eq!((finding.verdict.as_str(), finding.confidence), ("leak", Confidence::Suspect));
    let why = " It was seen for 45 steps only; a leak is told from a cache that fills in 60.";
    assert!(finding.text.contains(why), "{}", finding.text);
}

#[test]
fn what_a_few_steps_leave_behind_is_worth_knowing() {
    let mut timeline = Timeline::default();
    steps(&mut timeline, 0..20, 0);
    let report = report(vec![timeline.finish(7, End::Running)]);
    let finding = only(&report);
    assert_eq!((finding.verdict.as_str(), finding.confidence), ("retained", Confidence::Info));
    // Of 20 steps the first three warm up, and the last three are too young.
    assert_eq!(value(finding, "steps measured"), (14, Some(10)));
    assert_eq!(finding.bytes, 14 * 2 * MIB);
    assert!(text::render(&report).contains("nothing wrong was found"));
}

#[test]
fn a_hole_in_the_timeline_loses_no_leak() {
    let mut timeline = Timeline::default();
    steps(&mut timeline, 0..40, 0);
    timeline.hole(|timeline| steps(timeline, 40..60, 0));
    steps(&mut timeline, 60..140, 0);
    let report = report(vec![timeline.finish(7, End::Running)]);
    let finding = only(&report);
    assert_eq!((finding.verdict.as_str(), finding.confidence), ("leak", Confidence::Alert));
}

#[test]
fn of_what_nobody_watched_there_is_suspicion_at_most() {
    let mut timeline = Timeline::default();
    timeline.hole(|timeline| {
        let before = hours(4, true);
        (timeline.held, timeline.next) = (before.held, before.next);
    });
    for minute in 240..245 {
        timeline.pass(BEGIN + minute * MINUTE);
        timeline.take(BEGIN + minute * MINUTE + SECOND, MIB, PYTHON);
    }
    let report = report(vec![timeline.finish(7, End::Running)]);
    let finding = only(&report);
    assert_eq!((finding.verdict.as_str(), finding.confidence), ("leak", Confidence::Suspect));
    let why = " It was seen for 4 minutes only; a leak is told from a cache that fills in 60.";
    assert!(finding.text.contains(why), "{}", finding.text);
}

#[test]
fn a_known_cache_is_called_by_its_name() {
    let mut process = hours(4, true).finish(7, End::Running);
    for code in process.tables.codes.values_mut() {
        code.file = "/site-packages/sglang/srt/mem_cache/radix_cache.py".into();
    }
    let report = report(vec![process]);
    let finding = only(&report);
    assert_eq!(
        (finding.confidence, finding.cause.as_deref()),
        (Confidence::Suspect, Some("known cache"))
    );
    assert!(finding.text.contains("By its name it is a prefix cache"), "{}", finding.text);
    assert_eq!(finding.exhausted, None, "it ends when the cache is full");
}

#[test]
fn ranks_that_leak_at_one_line_are_one_finding() {
    let processes = [7, 8].map(|pid| hours(4, true).finish(pid, End::Running));
    let report = report(processes.into());
    let finding = only(&report);
    assert_eq!((finding.instances.len(), finding.bytes), (2, 2 * 187 * MIB));
    let start = "2 processes leak at the same line: ";
    assert!(finding.text.starts_with(start), "{}", finding.text);
}

#[test]
fn what_grew_once_is_told_with_the_line_that_took_it() {
    let mut timeline = Timeline::default();
    timeline.take(BEGIN, 512 * MIB, OTHER);
    for minute in 0..240 {
        timeline.pass(BEGIN + minute * MINUTE);
        if minute == 130 {
            timeline.take(BEGIN + minute * MINUTE + 2 * SECOND, 3 << 30, PYTHON);
        }
    }
    let report = report(vec![timeline.finish(7, End::Running)]);
    assert_eq!(report.findings, []);
    let course = &report.processes[0].devices[0].trend.as_ref().unwrap().allocated;
    assert_eq!((course.verdict, course.bytes), (Direction::Step, Some(3 << 30)));
    let site = &report.sites[course.site.as_ref().unwrap()];
    assert_eq!(site.line.as_deref(), Some("job.py:7 step"));
    let text = text::render(&report);
    assert!(text.contains("after the start: allocated grew once, by 3.0 GiB at "), "{text}");
    assert!(text.contains(", most of it at job.py:7 step"), "{text}");
}

#[test]
fn totals_that_grow_without_a_line_to_blame_are_suspect() {
    // Four hours in which each minute another line takes 4 MiB for good.
    let mut timeline = Timeline::default();
    timeline.take(BEGIN, 512 * MIB, OTHER);
    for minute in 0..240 {
        timeline.pass(BEGIN + minute * MINUTE);
        timeline.take(BEGIN + minute * MINUTE + 2 * SECOND, 4 * MIB, 1000 + minute as u32);
    }
    let mut process = timeline.finish(7, End::Running);
    // Each of those lines is another site.
    let trend = &process.played.trends[&0];
    assert!(trend.leaks.iter().all(|leak| leak.found.site != Site::default()));
    process.tables.codes.clear();
    let report = report(vec![process]);
    let finding = only(&report);
    assert!(
        finding.text.contains(" Of what was taken since then and is live most is 4.0 MiB from ")
    );
    assert_eq!(
        (finding.verdict.as_str(), finding.confidence, finding.cause.as_deref()),
        ("growth", Confidence::Suspect, Some("allocated"))
    );
    let rate = finding.rate.unwrap().bytes_per_hour;
    assert!(rate.abs_diff(240 * MIB) < 12 * MIB, "{rate}");
    assert!(finding.text.starts_with("allocated memory of serve (pid 7) grows on device 0: by "));
}
