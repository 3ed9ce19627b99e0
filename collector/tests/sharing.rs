//! Who holds whose memory: processes joined, and what the report makes of it.

mod made;

use std::collections::BTreeMap;

use collector::{
    ledger::{End, Event, Instance, Live},
    present::{
        build::{Detail, build},
        report::{Device, Finding, Report},
        text::render,
    },
    process::{Job, Process},
    sharing::Shared,
    state::State,
};
use made::{MIB, PYTHON, TORCH, job, live, process};
use wire::record::{Class, Record, Verb};

const NAME: u64 = 0x0123_4567_89ab_cdef;
/// A second, in microseconds.
const SECOND: u64 = 1_000_000;

/// An identity beside something; `at` is in microseconds.
fn identity(class: Class, address: u64, name: u64, at: u64) -> Live {
    let mut one = live(Class::Identity, address, 0, name as u32);
    one.entry.python = (name >> 32) as u32;
    (one.entry.link, one.entry.birth_us) = (class as u16, at);
    one
}

fn born(mut one: Live, at: u64) -> Live {
    one.entry.birth_us = at;
    one
}

fn holding(pid: u32, end: End, held: &[Live]) -> Process {
    let mut process = process(pid, end);
    process.played.state = State::from_live(held);
    process
}

fn exporter(pid: u32, name: u64) -> Process {
    let memory = live(Class::Linear, 0x1000_0000, 20 * MIB, TORCH);
    let block = live(Class::Block, 0x1000_0000, 20 * MIB, 0);
    holding(pid, End::Running, &[memory, block, identity(Class::Linear, 0x1000_0000, name, 10)])
}

fn importer(pid: u32, end: End, name: u64, at: u64) -> Process {
    let memory = born(live(Class::IpcImport, 0x7000_0000, 20 * MIB, 0), at);
    holding(pid, end, &[memory, identity(Class::IpcImport, 0x7000_0000, name, at)])
}

fn joined(processes: &[Process]) -> Shared {
    Shared::of(processes, &BTreeMap::new())
}

fn in_one_line(report: &Report) -> String {
    render(report).split_whitespace().collect::<Vec<_>>().join(" ")
}

fn device(report: &Report, pid: u32) -> &Device {
    let process = report.processes.iter().find(|process| process.pid == pid).unwrap();
    &process.devices[0]
}

#[test]
fn exporter_and_importer_are_joined_by_the_name_both_see() {
    let processes = vec![exporter(1, NAME), importer(2, End::Running, NAME, 20), exporter(3, 77)];
    let report = build(&job(processes), Detail::default());
    let (owner, holder) = (device(&report, 1), device(&report, 2));
    assert_eq!((owner.reserved_bytes, owner.imported_bytes), (20 * MIB, 0));
    assert_eq!((holder.reserved_bytes, holder.imported_bytes), (0, 20 * MIB));
    let [export] = &owner.exports[..] else { panic!("{:?}", owner.exports) };
    let [opener] = &export.opened_by[..] else { panic!("{:?}", export.opened_by) };
    assert_eq!((opener.by.pid, opener.likely, opener.bytes), (2, false, 20 * MIB));
    assert_eq!((opener.opens, opener.closes, opener.pieces), (1, 0, 1));
    let [import] = &holder.imports[..] else { panic!("{:?}", holder.imports) };
    assert_eq!(import.from.as_ref().map(|from| from.pid), Some(1));
    assert_eq!(device(&report, 3).exports[0].opened_by, []);
    let text = in_one_line(&report);
    assert!(text.contains("imported 20.0 MiB from serve (pid 1), in 1 piece"), "{text}");
    assert!(text.contains("serve (pid 2) has 1 piece of 20.0 MiB open"), "{text}");
    assert!(text.contains("no traced process opened"), "{text}");
}

/// One that opened what has these names, each as a handle of its own of 20 MiB.
fn opener_of(names: &[u64]) -> Process {
    let open = |(name, address): (&u64, u64)| {
        let mut one = born(live(Class::ImportedHandle, address, 20 * MIB, 0), 20 + address);
        one.entry.link = 1 << 10;
        let name = identity(Class::ImportedHandle, address, *name, 20 + address);
        [one, name].into_iter().take(1 + usize::from(name.entry.native != 0)).collect::<Vec<_>>()
    };
    let open: Vec<Live> = names.iter().zip(1..).flat_map(open).collect();
    holding(2, End::Running, &open)
}

#[test]
fn what_is_open_under_two_handles_counts_once_where_its_name_tells_and_each_open_is_a_piece() {
    let of = |owner: Process, names: &[u64]| {
        let report = build(&job(vec![owner, opener_of(names)]), Detail::default());
        let holder = device(&report, 2);
        let by = device(&report, 1).exports.iter().flat_map(|export| &export.opened_by);
        let by = by.map(|by| (by.bytes / MIB, by.pieces)).collect::<Vec<_>>();
        let imports = holder.imports.iter().map(|import| (import.bytes / MIB, import.pieces));
        (holder.imported_bytes / MIB, imports.collect::<Vec<_>>(), by)
    };
    assert_eq!(of(exporter(1, NAME), &[NAME]), (20, vec![(20, 1)], vec![(20, 1)]));
    assert_eq!(of(exporter(1, NAME), &[NAME, NAME]), (20, vec![(20, 2)], vec![(20, 2)]));
    // Handed out under two names it is the same memory.
    let mut owner = exporter(1, NAME);
    let memory = live(Class::Linear, 0x1000_0000, 20 * MIB, TORCH);
    let names = [NAME, NAME + 1].map(|name| identity(Class::Linear, 0x1000_0000, name, 10));
    owner.played.state = State::from_live(&[memory, names[0], names[1]]);
    assert_eq!(of(owner, &[NAME, NAME + 1]), (20, vec![(20, 2)], vec![(20, 2)]));
    // Of a stranger's the name is enough; without one nothing tells.
    assert_eq!(of(exporter(1, 9), &[NAME, NAME]), (20, vec![(20, 2)], vec![]));
    assert_eq!(of(exporter(1, 9), &[NAME, NAME + 1]), (40, vec![(40, 2)], vec![]));
    assert_eq!(of(exporter(1, 9), &[0, 0]), (40, vec![(40, 2)], vec![]));
    let all = vec![one_that_gave_back(End::Running), opener_of(&[NAME, NAME])];
    let later = Job { as_of: 40_000_000_000, ..job(all) };
    let [pin] = &pins(&build(&later, Detail::default()))[..] else { panic!("one pin") };
    let [holder] = &pin.holders[..] else { panic!("{:?}", pin.holders) };
    assert_eq!((pin.bytes, holder.bytes, holder.blocks), (20 * MIB, 20 * MIB, 2));
}

#[test]
fn a_card_full_of_handles_that_are_handed_out_one_by_one_is_reported_whole() {
    let many = 30_000;
    let (mut held, mut open) = (Vec::new(), Vec::new());
    for n in 0..many {
        let at = 0x10_0000_0000 + u64::from(n) * 2 * MIB;
        let mut handle = live(Class::Handle, u64::from(n), 2 * MIB, TORCH);
        (handle.index, handle.entry.link) = (n, 1 << 10 | 1);
        let mut mapping = live(Class::Mapping, at, 2 * MIB, n);
        mapping.index = many + n;
        let name = identity(Class::Handle, u64::from(n), NAME + u64::from(n), 10);
        held.extend([handle, mapping, name, live(Class::Block, at, MIB, 0)]);
        open.push(NAME + u64::from(n));
    }
    let job = job(vec![holding(1, End::Running, &held), opener_of(&open)]);
    // Some seconds; minutes where each handle is looked for among all mappings.
    let report = build(&job, Detail::default());
    let [export] = &device(&report, 1).exports[..] else { panic!("one line took all") };
    assert_eq!((export.pieces, export.opened_by[0].pieces), (many.into(), many.into()));
}

#[test]
fn a_name_that_comes_again_means_the_newest_that_is_older_than_the_import() {
    let owners = |at: u64| {
        let mut again = exporter(3, NAME);
        let memory = born(live(Class::Linear, 0x1000_0000, 20 * MIB, TORCH), 25);
        let name = identity(Class::Linear, 0x1000_0000, NAME, 30);
        again.played.state = State::from_live(&[memory, name]);
        let shared = joined(&[exporter(1, NAME), again, importer(2, End::Running, NAME, at)]);
        let [import] = &shared.imports[..] else { panic!("one import") };
        shared.owner(import).map(|export| export.owner.0[1])
    };
    assert_eq!([5, 20, 40].map(owners), [None, Some(1), Some(3)]);
}

#[test]
fn without_a_name_it_is_likely_the_only_one_who_handed_out_that_size_there() {
    let handle = |pid: u32| {
        let mut one = live(Class::Handle, 0x77, 2 * MIB, TORCH);
        one.entry.link = 1 << 10;
        holding(pid, End::Running, &[one, identity(Class::Handle, 0x77, 0, 10)])
    };
    let opened = |size: u64| {
        let one = born(live(Class::ImportedHandle, 0x99, size, 0), 20);
        let kept = Live { entry: wire::live::Entry { link: 1 << 10, ..one.entry }, ..one };
        holding(2, End::Running, &[kept])
    };
    let from = |processes: &[Process]| {
        let shared = joined(processes);
        let [import] = &shared.imports[..] else { panic!("one import") };
        (shared.owner(import).map(|export| export.owner.0[1]), import.likely)
    };
    assert_eq!(from(&[handle(1), opened(2 * MIB)]), (Some(1), true));
    assert_eq!(from(&[handle(1), opened(4 * MIB)]), (None, false));
    assert_eq!(from(&[handle(1), handle(3), opened(2 * MIB)]), (None, false), "two may be meant");
    let report = build(&job(vec![handle(1), opened(2 * MIB)]), Detail::default());
    let text = in_one_line(&report);
    assert!(text.contains("likely from serve (pid 1)"), "{text}");
}

#[test]
fn a_process_that_ended_has_nothing_open_any_more_unless_the_owner_ended_too() {
    let open = |owner: End, holder: End, told: &str| {
        let mut owning = exporter(1, NAME);
        owning.end = owner;
        let report = build(&job(vec![owning, importer(2, holder, NAME, 20)]), Detail::default());
        let text = in_one_line(&report);
        assert!(text.contains(told), "{text}");
        device(&report, 1).exports[0].opened_by[0].bytes
    };
    let ended =
        "has none open since it ended: opened 1 time, closed 0 times, and 1 time by its end";
    assert_eq!(open(End::Running, End::Killed(9), ended), 0);
    let open_yet = "has 1 piece of 20.0 MiB open, opened 1 time, closed 0 times";
    assert_eq!(open(End::Killed(9), End::Running, open_yet), 20 * MIB);
    let last = "had 1 piece of 20.0 MiB open at its end, opened 1 time, closed 0 times";
    assert_eq!(open(End::Exited(Some(0)), End::Exited(Some(0)), last), 20 * MIB);
}

#[test]
fn an_end_that_closed_what_was_open_is_told_also_where_only_the_owner_is_asked_about() {
    let all = vec![exporter(1, NAME), importer(2, End::Killed(9), NAME, 20)];
    let text = in_one_line(&build(&Job { only: Some(1), ..job(all) }, Detail::default()));
    let told = "(pid 2) has none open since it ended: opened 1 time, closed 0 times, and 1 time";
    assert!(text.contains(told), "{text}");
}

/// What is given back or closed at `at` that was taken at `birth`, in microseconds.
fn gone(class: Class, address: u64, birth: u64, at: u64) -> Event {
    let record = Record {
        time: at * 1000,
        address,
        size: 20 * MIB,
        aux: (at - birth) * 1000,
        verb: Verb::FreeBegin,
        class,
        api: 0,
        device: 0,
        result: 0,
        tid: 1,
        flags: 0,
        native: TORCH,
        python: PYTHON,
    };
    Event { position: 0, record, extra: None }
}

/// An exporter that gives back at 1 ms what it handed out.
fn one_that_gave_back(end: End) -> Process {
    let mut owner = exporter(1, NAME);
    owner.played.state.apply(&gone(Class::Linear, 0x1000_0000, 2, 1_000));
    owner.end = end;
    owner
}

fn pins(report: &Report) -> Vec<Finding> {
    let pins = report.findings.iter().filter(|finding| finding.verdict == "ipc-pin");
    pins.cloned().collect()
}

#[test]
fn what_its_owner_gave_back_and_another_has_open_is_a_pin_beside_reserved() {
    let owner = one_that_gave_back(End::Running);
    let of = |seconds: u64| {
        let holder = importer(2, End::Running, NAME, 20);
        let all = Job { as_of: seconds * 1_000_000_000, ..job(vec![owner.clone(), holder]) };
        build(&all, Detail::default())
    };
    assert_eq!(pins(&of(20)), [], "the importer may be closing it");
    let report = of(40);
    let [pin] = &pins(&report)[..] else { panic!("{:?}", report.findings) };
    assert_eq!((pin.bytes, pin.cause.as_deref()), (20 * MIB, Some("given back")));
    assert!(pin.text.contains("serve (pid 2) opened them 1 time and closed them 0 times"));
    let [export] = &device(&report, 1).exports[..] else { panic!("one export") };
    assert_eq!((export.bytes, export.given_back_bytes), (0, 20 * MIB));
    assert_eq!(device(&report, 1).reserved_bytes, 0);
}

#[test]
fn what_a_process_had_open_when_it_ended_is_no_pin_of_an_owner_that_went_on() {
    // Both have ended: the holder at `holder`, the owner at `owner`, in seconds. By a trace that says by
    // when the holder had ended, and by its own word.
    let of = |holder: u64, owner: u64| {
        let mut owning = one_that_gave_back(End::Exited(None));
        owning.health.exited = owner * SECOND * 1000;
        let mut holding = importer(2, End::Exited(None), NAME, 20);
        holding.health.exited = holder * SECOND * 1000;
        let killed = importer(2, End::Killed(9), NAME, 20);
        let ended = killed.identity.realtime(holder * SECOND * 1000);
        let of = |holding: Process, ended_by: &[(Instance, u64)]| {
            let all = job(vec![owning.clone(), holding]);
            let ended_by = ended_by.iter().copied().collect();
            let report =
                build(&Job { as_of: 7200 * SECOND * 1000, ended_by, ..all }, Detail::default());
            let told = |pin: &Finding| pin.text.contains("it ended with 20.0 MiB open, from");
            assert!(pins(&report).iter().all(told));
            let open = device(&report, 1).exports.iter().flat_map(|export| &export.opened_by);
            (pins(&report).len(), open.map(|opener| opener.bytes).sum::<u64>())
        };
        let by_trace = of(killed.clone(), &[(killed.identity.instance, ended)]);
        let by_itself = of(holding, &[]);
        assert_eq!(by_itself, by_trace);
        by_itself
    };
    assert_eq!(of(25, 100), (0, 0), "soon after");
    assert_eq!(of(40, 100), (0, 0), "it had it open for long, and then the owner went on");
    assert_eq!(of(25, 26), (0, 0), "they ended together");
    assert_eq!(of(40, 41), (1, 0), "as long as there was a job");
    assert_eq!(of(100, 2), (1, 20 * MIB), "the owner ended first");
}

/// An owner that hands out another piece in each of its steps, one a second, and a holder that opens it
/// and closes it a tenth of a second later, or all of them after the last step.
fn synced(steps: u64, keeps: bool) -> [Process; 2] {
    let at = |step: u64| (0x1000_0000 + step * 0x1000_0000, step * SECOND + SECOND / 2);
    let pieces = |class: Class, later: u64| {
        let of = |step: u64| {
            let (address, time) = at(step);
            let one = born(live(class, address, 20 * MIB, TORCH), time + later);
            [one, identity(class, address, NAME + step, time + later)]
        };
        (1..=steps).flat_map(of).collect::<Vec<Live>>()
    };
    let mut owner = holding(1, End::Exited(Some(0)), &pieces(Class::Linear, 0));
    owner.played.steps = (1..=steps).map(|step| step * SECOND * 1000).collect();
    let mut holder = holding(2, End::Exited(Some(0)), &pieces(Class::IpcImport, 10));
    for step in 1..=steps {
        let (address, time) = at(step);
        let closed = if keeps { at(steps + 1).1 + step } else { time + SECOND / 10 };
        holder.played.state.apply(&gone(Class::IpcImport, address, time + 10, closed));
    }
    owner.health.exited = (steps + 3) * SECOND * 1000;
    holder.health.exited = (steps + 2) * SECOND * 1000;
    [owner, holder]
}

fn pins_of(processes: [Process; 2]) -> Vec<Finding> {
    let all = Job { as_of: 7200 * SECOND * 1000, ..job(processes.to_vec()) };
    pins(&build(&all, Detail::default()))
}

#[test]
fn what_was_open_when_the_last_step_began_was_a_pin_though_its_holder_closed_it_as_it_ended() {
    let [pin] = &pins_of(synced(26, true))[..] else { panic!("one pin") };
    assert_eq!((pin.bytes, pin.cause.as_deref()), (25 * 20 * MIB, Some("growing")));
    let numbers: Vec<u64> = pin.evidence.iter().map(|number| number.value).collect();
    assert_eq!(numbers, [25, 25, 0, 25, 20 * MIB]);
    let told = [
        "serve (pid 1) handed ever more memory to other processes, which kept it open: when its last step began, 25 pieces of 500.0 MiB",
        "It was 20.0 MiB more each step; the oldest had been alive for 25",
        "serve (pid 2) had opened them 25 times and closed them 0 times; it had 500.0 MiB open",
    ];
    told.iter().for_each(|part| assert!(pin.text.contains(part), "{}", pin.text));
    let [holder] = &pin.holders[..] else { panic!("{:?}", pin.holders) };
    assert_eq!((holder.bytes, holder.blocks), (25 * 20 * MIB, 25));
}

#[test]
fn one_end_is_enough_for_a_look_at_the_last_step_and_without_any_or_steps_nothing_is_told() {
    let ended = |of: fn(&mut [Process; 2])| {
        let mut both = synced(26, true);
        of(&mut both);
        pins_of(both).len()
    };
    assert_eq!(ended(|both| both[0].end = End::Running), 1);
    assert_eq!(ended(|both| both[1].end = End::Running), 1);
    assert_eq!(ended(|both| both.iter_mut().for_each(|one| one.end = End::Running)), 0);
    assert_eq!(ended(|both| both[0].played.steps.clear()), 0, "nobody knows when it was at work");
    // The owner went on without that holder.
    assert_eq!(ended(|both| both[0].played.steps.push(28 * SECOND * 1000)), 0);
}

#[test]
fn a_holder_that_closed_each_piece_in_its_step_pinned_none() {
    assert_eq!(pins_of(synced(26, false)), []);
}

#[test]
fn what_was_given_back_long_before_the_last_step_and_open_then_was_a_pin() {
    let of = |seconds: u64| {
        let mut both = synced(60, false);
        both[1].played.state = State::from_live(&[
            born(live(Class::IpcImport, 0x7000_0000, 20 * MIB, 0), 2 * SECOND),
            identity(Class::IpcImport, 0x7000_0000, NAME + 1, 2 * SECOND),
        ]);
        both[0].played.state.apply(&gone(
            Class::Linear,
            0x2000_0000,
            SECOND * 3 / 2,
            seconds * SECOND,
        ));
        both[1].played.state.apply(&gone(Class::IpcImport, 0x7000_0000, 2 * SECOND, 61 * SECOND));
        pins_of(both)
    };
    assert_eq!(of(40), [], "the holder may be closing it");
    let [pin] = &of(20)[..] else { panic!("one pin") };
    assert_eq!((pin.bytes, pin.cause.as_deref()), (20 * MIB, Some("given back")));
    assert!(pin.text.contains("had given 20.0 MiB back on device 0, and the driver kept it"));
}
