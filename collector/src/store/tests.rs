//! What is written comes back; what is cut short comes back as far as it is whole.

use std::{fs, path::Path};

use wire::record::{Class, Record, Verb};

use super::{
    Folder, LiveRow, MarkRow, NoMoment, NoTrace, NoteRow, ProcessRow, Range, SampleRow, TailItem,
    TailReader, TotalsSample, Trace, Writer,
};
use crate::{
    detect::creep::Verdict,
    ledger::{Instance, Live, Step},
    process::{Losses, Moment, Stops},
    source::{
        Drain, Drained, RingFile, TableReader,
        fake::{FakeRing, entry, publish_pair, record},
    },
};

pub(super) fn head() -> Trace {
    Trace {
        memtrace_trace: super::FORMAT,
        version: "test".into(),
        command: "python3 job.py".into(),
        started_ns: 1,
        ended_ns: None,
    }
}

/// Drains a ring into a trace.
pub(super) fn store(writer: &mut Writer, ring: &FakeRing, drain: &mut Drain) {
    let folder = tempfile::tempdir().unwrap();
    let file = ring.open(folder.path());
    writer.tail().source(file.instance(), file.salt());
    let tail = writer.tail();
    drain
        .step(&file, true, |drained| match drained {
            Drained::Slot { words, record, .. } => tail.slot(&words, record.as_ref()),
            Drained::Lost(slots) => tail.gap(slots),
        })
        .unwrap();
    writer.commit(5).unwrap();
}

/// Timelines as text: `instance: address`, `-lost`, `=live set`.
fn timelines(folder: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let visit = |instance: Instance, step: Step<'_>| {
        let what = match step {
            Step::Event(event) => match event.extra {
                None => format!("{}", event.record.address),
                Some([extra, ..]) => format!("{}+{extra}", event.record.address),
            },
            Step::Lost(slots) => format!("-{slots}"),
            Step::Live(live) => {
                format!("={:?}", live.iter().map(|l| l.entry.address).collect::<Vec<_>>())
            }
        };
        lines.push(format!("{}: {what}", instance.0[0]));
    };
    Folder::open(folder).unwrap().timelines(&mut Vec::new(), visit).unwrap();
    lines
}

/// The row of a ring's process.
pub(super) fn process(file: &RingFile, time: u64) -> ProcessRow {
    ProcessRow {
        identity: file.identity().unwrap(),
        pid: None,
        health: file.health().unwrap(),
        gauges: Vec::new(),
        end: crate::ledger::End::Exited(Some(0)),
        role: None,
        apis: Vec::new(),
        losses: Losses::default(),
        time,
    }
}

pub(super) fn alloc(address: u64) -> Record {
    record(Verb::Alloc, Class::Block, address, 512, 0)
}

pub(super) fn live(instance: u64, position: u64, address: u64) -> LiveRow {
    let entry = entry(Class::Block, address, 512, 0);
    let live = [Live { index: 3, freeing: true, entry }];
    LiveRow::new(Instance([instance, 0]), position, 9, &live)
}

#[test]
fn timelines_come_back_in_order_with_pairs_gaps_and_live_sets_at_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::create(folder.path(), head()).unwrap();
    let (a, b) = (FakeRing::new([1, 0]), FakeRing::new([2, 0]));
    let (mut at_a, mut at_b) = (Drain::new(), Drain::new());
    a.producer().publish(&alloc(10));
    publish_pair(&a, alloc(11), [77, 0, 0]);
    store(&mut writer, &a, &mut at_a);
    b.producer().publish(&alloc(20));
    store(&mut writer, &b, &mut at_b);
    writer.row(&live(1, 3, 11)).unwrap();
    a.producer().publish(&alloc(12));
    writer.tail().source(Instance([1, 0]), wire::header::salt([1, 0]));
    writer.tail().gap(5);
    store(&mut writer, &a, &mut at_a);
    writer.row(&live(1, 4, 12)).unwrap();
    writer.row(&live(2, 1, 20)).unwrap();
    writer.finish(99).unwrap();

    let lines = timelines(folder.path());
    let of = |instance: &str| -> Vec<_> {
        lines.iter().filter_map(|line| line.strip_prefix(instance)).collect()
    };
    assert_eq!(of("1: "), ["10", "11+77", "-5", "=[11]", "12", "=[12]"]);
    assert_eq!(of("2: "), ["20", "=[20]"]);
    assert_eq!(Folder::open(folder.path()).unwrap().head().ended_ns, Some(99));
}

#[test]
fn a_tail_cut_anywhere_is_read_up_to_its_last_whole_slot() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::create(folder.path(), head()).unwrap();
    let ring = FakeRing::new([1, 0]);
    (1..=4).for_each(|address| ring.producer().publish(&alloc(address)));
    store(&mut writer, &ring, &mut Drain::new());
    let path = folder.path().join("tail.bin");
    let bytes = fs::read(&path).unwrap();
    assert_eq!(bytes.len(), 5 * 64);
    for cut in (0..=bytes.len()).step_by(16) {
        fs::write(&path, &bytes[..cut]).unwrap();
        assert_eq!(timelines(folder.path()).len(), (cut / 64).saturating_sub(1));
    }
    fs::remove_file(&path).unwrap();
    assert!(timelines(folder.path()).is_empty());
}

#[test]
fn a_damaged_slot_of_the_tail_is_a_loss_of_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::create(folder.path(), head()).unwrap();
    let ring = FakeRing::new([1, 0]);
    (1..=3).for_each(|address| ring.producer().publish(&alloc(address)));
    store(&mut writer, &ring, &mut Drain::new());
    let path = folder.path().join("tail.bin");
    let mut bytes = fs::read(&path).unwrap();
    bytes[2 * 64 + 20] ^= 1;
    fs::write(&path, bytes).unwrap();
    assert_eq!(timelines(folder.path()), ["1: 1", "1: -1", "1: 3"]);
}

#[test]
fn once_full_only_block_events_are_passed_over_and_it_is_said_since_when() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::with_limit(folder.path(), head(), 3 * 64).unwrap();
    let ring = FakeRing::new([1, 0]);
    (1..=4).for_each(|address| ring.producer().publish(&alloc(address)));
    let oom = record(Verb::OutOfMemory, Class::Block, 5, 512, 0);
    publish_pair(&ring, oom, [55, 0, 0]);
    ring.producer().publish(&alloc(6));
    ring.producer().publish(&record(Verb::Alloc, Class::Linear, 7, 512, 0));
    store(&mut writer, &ring, &mut Drain::new());
    writer.commit(6).unwrap();
    assert_eq!(timelines(folder.path()), ["1: 1", "1: 2", "1: 5+55", "1: 7"]);
    let notes = Folder::open(folder.path()).unwrap().notes(&mut Vec::new());
    assert!(matches!(notes.as_slice(), [NoteRow { time: 5, blocks_unstored: true, .. }]));
}

#[test]
fn tables_come_back_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let rings = tempfile::tempdir().unwrap();
    let fake = FakeRing::new([1, 0]);
    let stack = fake.python_stack("forward");
    fake.module(0x1000, 0x2000, "/lib/libc.so.6");
    let ring = fake.open(rings.path());
    let mut tables = TableReader::new(&ring);
    tables.record(&ring, &record(Verb::Alloc, Class::Block, 1, 1, stack)).unwrap();
    let new = tables.take(&ring).unwrap();
    let mut writer = Writer::create(folder.path(), head()).unwrap();
    writer.additions(Instance([1, 0]), new.clone()).unwrap();
    let back = Folder::open(folder.path()).unwrap().tables(&mut Vec::new());
    let back = &back[&Instance([1, 0])];
    assert_eq!(back.nodes.clone().into_iter().collect::<Vec<_>>(), new.nodes);
    assert_eq!(back.codes.clone().into_iter().collect::<Vec<_>>(), new.codes);
    assert_eq!(back.modules, new.modules);
    assert_eq!(live(1, 0, 5).live()[0].entry, entry(Class::Block, 5, 512, 0));
    assert!(live(1, 0, 5).live()[0].freeing);
}

#[test]
fn what_was_held_when_blocks_were_not_stored_any_more_is_not_made_up() {
    let folder = tempfile::tempdir().unwrap();
    let rings = tempfile::tempdir().unwrap();
    let mut writer = Writer::with_limit(folder.path(), head(), 64).unwrap();
    let ring = FakeRing::new([1, 0]);
    (1..=4).for_each(|address| ring.producer().publish(&alloc(address)));
    store(&mut writer, &ring, &mut Drain::new());
    writer.row(&process(&ring.open(rings.path()), 6)).unwrap();
    let moment = Moment::After(1);
    let error = super::stops(folder.path(), &moment).unwrap_err();
    assert!(matches!(error, NoMoment::Unstored(_)), "{error}");
    assert_eq!(super::stops(folder.path(), &Moment::End).unwrap(), Stops::default());
    let growing = super::job_with_growth(folder.path(), 3).unwrap().growing.unwrap();
    assert!(growing.firsts.is_empty());
    let unknown = super::stops(folder.path(), &Moment::Step(7)).unwrap_err().to_string();
    assert!(unknown.contains("no phase in it repeats"), "{unknown}");
}

#[test]
fn marks_from_outside_are_told_with_the_process_they_are_about() {
    let folder = tempfile::tempdir().unwrap();
    let rings = tempfile::tempdir().unwrap();
    let mut writer = Writer::create(folder.path(), head()).unwrap();
    let ring = FakeRing::new([1, 0]);
    ring.producer().publish(&alloc(1));
    store(&mut writer, &ring, &mut Drain::new());
    writer.row(&process(&ring.open(rings.path()), 6)).unwrap();
    let mark = |instance, kind, name: &str| MarkRow {
        instance: Instance([instance, 0]),
        time: 5,
        kind,
        name: name.to_owned(),
    };
    writer.row(&mark(1, 0, "loaded")).unwrap();
    writer.row(&mark(2, 0, "of nobody known")).unwrap();
    writer.row(&mark(1, 77, "of a kind to come")).unwrap();
    writer.row(&mark(1, 1, "rollout")).unwrap();
    let job = super::job(folder.path()).unwrap();
    let [process] = job.processes.as_slice() else { panic!("{job:?}") };
    let text = |id| crate::phase::text(&process.tables, id);
    let moments = process.played.phases.moments(text);
    assert_eq!(moments.keys().collect::<Vec<_>>(), ["loaded"]);
    assert_eq!(moments["loaded"].last, 5);
    assert_eq!(process.played.phases.names(text)["rollout"].open, 1);
}

#[test]
fn what_is_no_trace_is_said_in_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(Folder::open(folder.path()).unwrap_err(), NoTrace::NoHead);
    assert_eq!(Folder::open(Path::new("/nonexistent/x")).unwrap_err(), NoTrace::Missing);
    fs::write(folder.path().join("trace.json"), "{}").unwrap();
    assert_eq!(Folder::open(folder.path()).unwrap_err(), NoTrace::NoHead);
    Trace { memtrace_trace: 7, ..head() }.write(folder.path()).unwrap();
    assert_eq!(Folder::open(folder.path()).unwrap_err(), NoTrace::OtherFormat(7));
    let occupied = Writer::create(folder.path(), head()).unwrap_err();
    assert!(occupied.to_string().contains("something in it"));
}

#[test]
fn slots_before_any_source_belong_to_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tail.bin");
    fs::write(&path, [7; 640]).unwrap();
    let mut tail = TailReader::new(fs::File::open(path).unwrap());
    let items: Vec<TailItem> = tail.by_ref().map(Result::unwrap).collect();
    assert!(items.is_empty());
    assert_eq!(tail.damaged(), 10);
}

#[test]
fn a_job_whose_block_events_ran_out_of_room_still_creeps() {
    const MIB: u64 = 1 << 20;
    let instance = Instance([1, 2]);
    let folder = tempfile::tempdir().unwrap();
    let rings = tempfile::tempdir().unwrap();
    let mut writer = Writer::with_limit(folder.path(), head(), 0).unwrap();
    let ring = FakeRing::new([1, 2]);
    ring.producer().publish(&alloc(1));
    store(&mut writer, &ring, &mut Drain::new());
    let file = ring.open(rings.path());
    for second in 0..9 {
        let allocated = Range { least: 100 * MIB, greatest: (300 + second * 100) * MIB };
        let reserved = Range::of((400 + second * 100) * MIB);
        let sample = TotalsSample {
            instance,
            device: 0,
            time: 1_000 + second * 1_000_000_000,
            allocated,
            reserved,
            torch_allocated: allocated,
            torch_reserved: reserved,
        };
        writer.row(&SampleRow::Totals(sample)).unwrap();
    }
    writer.row(&process(&file, 6)).unwrap();
    let job = super::job(folder.path()).unwrap();
    let [process] = job.processes.as_slice() else { panic!("{job:?}") };
    assert_eq!(process.losses.blocks_unstored_since, Some(5));
    let text = process.warnings.join("\n");
    assert!(text.contains("want of room") && text.contains("held in the end"), "{text}");
    let verdict = process.played.creeps[&0].check();
    assert!(matches!(&verdict, Verdict::Creep(c) if c.bytes >= 500 * MIB), "{verdict:?}");
}
