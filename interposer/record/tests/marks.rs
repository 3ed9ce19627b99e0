//! Marks in the timeline, and their names.

mod support;

use hook::event::{Event, Op};
use support::subject::{Subject, send, thread};
use wire::{
    code::Code,
    header::Counter,
    layout::{CODE_WORDS, FULL, Layout, SMALL},
    mark::{Kind, Mark, NAME_LOST, NAME_SHARE, NO_NAME},
    record::{Class, Record},
};

fn event(kind: Kind, name: Option<&str>) -> Event {
    let event = Subject::event(Op::Mark, Class::None);
    let address = name.map_or(0, |name| name.as_ptr().expose_provenance() as u64);
    let size = name.map_or(0, |name| name.len() as u64);
    Event { address, size, classes: kind as u32, aux: 9, extra: 2, ..event }
}

fn set(subject: &mut Subject, kind: Kind, name: Option<&str>) {
    subject.send(&mut event(kind, name));
}

fn marks(subject: &Subject) -> Vec<Mark> {
    subject.file().records().iter().filter_map(Mark::of).collect()
}

/// The text of a name, read from the table of code objects as a collector does.
fn name(subject: &Subject, layout: Layout, id: u32) -> String {
    let at = layout.offsets();
    let words: Vec<u64> =
        subject.words.iter().map(|w| w.load(std::sync::atomic::Ordering::Relaxed)).collect();
    let code = &words[at.codes + id as usize * CODE_WORDS..][..CODE_WORDS];
    let code = Code::decode(code.try_into().unwrap()).expect("a name");
    assert_eq!((code.file.length, code.lines.length, code.first_line), (0, 0, 0));
    let bytes = words[at.arena + code.name.word as usize..].iter().flat_map(|w| w.to_le_bytes());
    String::from_utf8(bytes.take(code.name.length as usize).collect()).unwrap()
}

#[test]
fn a_mark_is_a_slot_and_a_name_is_kept_once() {
    let mut subject = Subject::new(SMALL);
    for text in ["rollout", "step 1", "step 2", "rollout"] {
        set(&mut subject, Kind::Begin, Some(text));
    }
    set(&mut subject, Kind::Pop, None);
    let marks = marks(&subject);
    let [first, one, two, again, pop] = marks[..] else { panic!("{marks:?}") };
    assert_eq!(first, again);
    assert_eq!((first.kind, first.number, first.domain, first.range), (Kind::Begin, None, 2, 9));
    assert_eq!(name(&subject, SMALL, first.name), "rollout");
    assert_eq!((one.name, one.number, two.number), (two.name, Some(1), Some(2)));
    assert_eq!(name(&subject, SMALL, one.name), "step ");
    assert_eq!((pop.name, pop.number), (NO_NAME, None));
}

#[test]
fn names_without_end_cost_nobody_else_anything() {
    let mut subject = Subject::new(SMALL);
    let room = SMALL.codes / NAME_SHARE;
    for index in 0..room + 100 {
        set(&mut subject, Kind::Point, Some(&format!("{index}th name")));
    }
    let lost = marks(&subject).iter().filter(|mark| mark.name == NAME_LOST).count();
    let file = subject.file();
    assert_eq!((lost, file.counter(Counter::NamesFull)), (100, 100));
    assert_eq!((file.counter(Counter::CodesFull), file.counter(Counter::ArenaFull)), (0, 0));
    // A name that is there is still found, and memory is still recorded.
    set(&mut subject, Kind::Point, Some("7th name"));
    let last = *marks(&subject).last().unwrap();
    assert_eq!(name(&subject, SMALL, last.name), "7th name");
    subject.take(Class::Linear, 1 << 21, 1 << 21);
    assert_eq!(subject.file().live().len(), 1);
}

#[test]
fn bytes_that_are_no_text_and_numbers_of_later_versions_do_no_harm() {
    let mut subject = Subject::new(SMALL);
    let bytes = [0xff, 0x1b, b'[', b'7', 0];
    let address = bytes.as_ptr().expose_provenance() as u64;
    let mark = event(Kind::Point, None);
    subject.send(&mut Event { address, size: 5, ..mark });
    subject.send(&mut Event { classes: 7, ..mark });
    let marks = marks(&subject);
    assert_eq!(marks.len(), 1, "a kind that is not known is not recorded");
    assert!(marks[0].name < SMALL.codes as u32);
}

#[test]
fn many_threads_marking_lose_no_mark() {
    const THREADS: u32 = 4;
    const ROUNDS: u64 = 2000;
    let subject = Subject::new(FULL);
    std::thread::scope(|scope| {
        for number in 0..THREADS {
            let ledger = &subject.ledger;
            scope.spawn(move || {
                let mut block = thread(number);
                for round in 0..ROUNDS {
                    let name = format!("{} of thread {round}", round % 50);
                    send(ledger, &mut block, &mut event(Kind::Begin, Some(&name)));
                    send(ledger, &mut block, &mut event(Kind::End, Some(&name)));
                }
            });
        }
    });
    let file = subject.file();
    let records: Vec<Record> = file.records();
    assert_eq!(records.len() as u64, 2 * u64::from(THREADS) * ROUNDS);
    assert_eq!(file.counter(Counter::NamesFull) + file.counter(Counter::DroppedBusy), 0);
}

#[test]
fn a_name_that_many_threads_bring_at_once_is_one_name() {
    const THREADS: u32 = 4;
    const ROUNDS: u64 = 400;
    let subject = Subject::new(FULL);
    let together = std::sync::Barrier::new(THREADS as usize);
    std::thread::scope(|scope| {
        for number in 0..THREADS {
            let (ledger, together) = (&subject.ledger, &together);
            scope.spawn(move || {
                let mut block = thread(number);
                for round in 0..ROUNDS {
                    let name = format!("round {round} of many");
                    together.wait();
                    send(ledger, &mut block, &mut event(Kind::Point, Some(&name)));
                }
            });
        }
    });
    let names: std::collections::BTreeSet<u32> =
        marks(&subject).iter().map(|mark| mark.name).collect();
    assert_eq!(names.len() as u64, ROUNDS);
}
