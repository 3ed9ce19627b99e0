//! What single events do to the ledger.

mod support;

use std::sync::atomic::Ordering::Relaxed;

use hook::event::{Event, Op};
use support::{
    File,
    subject::{Subject, send, thread},
};
use wire::{
    control::Level,
    device,
    header::{self, Counter, Mode, Reason},
    layout::{FULL, SMALL},
    live::{LINK_REFERENCE, State},
    record::{Class, FLAG_UNLISTED, NO_STACK, Verb},
    text::COMMAND,
};

const PAGE: u64 = 1 << 21;

#[test]
fn the_end_of_a_thing_carries_its_stacks_and_its_age() {
    let mut subject = Subject::new(SMALL);
    subject.take(Class::Linear, 0x1000, 64);
    std::thread::sleep(std::time::Duration::from_millis(2));
    subject.give(Class::Linear, 0x1000, 0, 0);
    let file = subject.file();
    let [begin, end] = file.records()[..] else { panic!("two slots") };
    assert_ne!(begin.native, NO_STACK);
    assert_eq!((end.native, end.python, end.tid), (begin.native, begin.python, 7));
    let age = end.time - begin.time;
    // Births are kept in microseconds.
    assert!(end.aux.abs_diff(age) < 1000 && age >= 2_000_000, "{} for {age}", end.aux);
    assert!(file.native(begin.native).len() > 3);
}

#[test]
fn blocks_give_the_gauges_what_pytorch_says() {
    let mut subject = Subject::new(SMALL);
    for (address, allocated, reserved) in [(512, 100, 1000), (1024, 300, 1000)] {
        let event = Subject::event(Op::Took, Class::Block);
        let event = Event { address, size: 512, aux: allocated, extra: reserved, ..event };
        subject.send(&mut { event });
    }
    let event = Subject::event(Op::BlockBack, Class::Block);
    subject.send(&mut Event { address: 512, size: 512, aux: 200, extra: 900, ..event });
    let file = subject.file();
    let gauge = |gauge| file.gauge(0, gauge);
    assert_eq!((gauge(device::ALLOCATED), gauge(device::ALLOCATED_PEAK)), (200, 300));
    assert_eq!((gauge(device::TORCH_RESERVED), gauge(device::TORCH_RESERVED_PEAK)), (900, 1000));
    assert_eq!(gauge(device::RESERVED), 0);
    assert_eq!(file.records()[0].native, NO_STACK, "block events take no native stack");
    assert_eq!(file.live().iter().map(|(.., entry)| entry.address).collect::<Vec<_>>(), [1024]);
    assert_eq!(file.counter(Counter::UnknownFree), 0);
}

#[test]
fn a_free_of_what_is_not_held_is_told_apart_by_what_the_driver_thought_of_it() {
    let (deinitialized, illegal_address) = (4, 700);
    let mut subject = Subject::new(SMALL);
    subject.take(Class::Linear, 0x1000, 64);
    let counts = |subject: &Subject| {
        let file = subject.file();
        (file.counter(Counter::UnknownFree), file.counter(Counter::RefusedFree))
    };
    // Of what is held, whatever the driver says.
    subject.give(Class::Linear, 0x1000, 0, 1);
    subject.give(Class::Linear, 0x1000, 0, 0);
    assert_eq!(counts(&subject), (0, 0));
    subject.give(Class::Linear, 0x1000, 0, 1);
    subject.give(Class::Array, 0x2000, 0, 400);
    subject.give(Class::Host, 0x3000, 0, 713);
    subject.give(Class::Mapping, PAGE, PAGE, 1);
    assert_eq!(counts(&subject), (4, 4));
    for result in [0, deinitialized, illegal_address] {
        subject.give(Class::Linear, 0x1000, 0, result);
    }
    assert_eq!(counts(&subject), (7, 4), "neither what succeeds nor what fails for another reason");
}

#[test]
fn two_threads_that_free_the_same_are_seen_by_what_the_second_is_told() {
    let mut subject = Subject::new(SMALL);
    subject.take(Class::Linear, 0x1000, 64);
    let [mut first, mut second] = [(); 2].map(|()| subject.giving(Class::Linear, 0x1000, 0));
    subject.gave(&mut first, 0);
    subject.gave(&mut second, 1);
    let file = subject.file();
    assert_eq!((file.live().len(), file.counter(Counter::RefusedFree)), (0, 1));
}

#[test]
fn a_full_table_keeps_room_for_what_the_driver_gives() {
    let mut subject = Subject::new(SMALL);
    let blocks = SMALL.entries as u64;
    for index in 0..blocks {
        subject.take(Class::Block, 512 * (index + 1), 512);
    }
    let overflow = |file: &File| file.counter(Counter::LiveOverflow);
    let file = subject.file();
    assert_eq!(file.live().len() as u64 + overflow(&file), blocks);
    assert_eq!(file.counter(Counter::UnlistedBytes), 512 * overflow(&file));
    assert_eq!(file.records().last().unwrap().flags, FLAG_UNLISTED);
    for index in 0..2000 {
        subject.take(Class::Linear, 1 << 40 | index << 21, 1 << 20);
    }
    assert_eq!(overflow(&subject.file()), overflow(&file), "nothing the driver gave is missing");
    for index in 0..blocks {
        let event = Subject::event(Op::BlockBack, Class::Block);
        subject.send(&mut Event { address: 512 * (index + 1), size: 512, ..event });
    }
    let file = subject.file();
    assert_eq!((overflow(&file), file.counter(Counter::UnlistedBytes)), (0, 0));
    assert_eq!((file.live().len(), file.counter(Counter::UnknownFree)), (2000, 0));
}

#[test]
fn threads_do_not_disturb_each_other() {
    const THREADS: u32 = 4;
    const ROUNDS: u64 = 1000;
    let subject = Subject::new(FULL);
    std::thread::scope(|scope| {
        for number in 0..THREADS {
            let ledger = &subject.ledger;
            scope.spawn(move || {
                let mut block = thread(number);
                for round in 0..ROUNDS {
                    let address = u64::from(number) << 40 | (round + 1) << 9;
                    let event = Subject::event(Op::Took, Class::Linear);
                    send(ledger, &mut block, &mut Event { address, size: 512, ..event });
                    // Every other one stays.
                    if round % 2 == 0 {
                        continue;
                    }
                    let event = Subject::event(Op::GivingBack, Class::None);
                    let classes = 1 << Class::Linear as u32;
                    let mut event = Event { address, classes, ..event };
                    send(ledger, &mut block, &mut event);
                    event.op = Op::GaveBack;
                    send(ledger, &mut block, &mut event);
                }
            });
        }
    });
    let file = subject.file();
    let held = u64::from(THREADS) * ROUNDS / 2;
    assert_eq!(file.live().len() as u64, held);
    assert_eq!(file.gauge(0, device::RESERVED), 512 * held);
    assert_eq!(file.records().len() as u64, 3 * held);
    assert_eq!(file.counter(Counter::DroppedBusy) + file.counter(Counter::UnknownFree), 0);
}

#[test]
fn a_handle_may_lose_its_mapping_while_it_is_released() {
    let mut subject = Subject::new(SMALL);
    subject.take(Class::Handle, 9, PAGE);
    let event = Subject::event(Op::Took, Class::Mapping);
    subject.send(&mut Event { address: PAGE, size: PAGE, aux: 9, ..event });
    let mut release = subject.giving(Class::Handle, 9, 0);
    subject.give(Class::Mapping, PAGE, PAGE, 0);
    assert_eq!(subject.file().gauge(0, device::RESERVED), PAGE);
    subject.gave(&mut release, 0);
    let file = subject.file();
    assert_eq!((file.live().len(), file.gauge(0, device::RESERVED)), (0, 0));
}

#[test]
fn two_releases_at_once_end_a_handle_with_two_references() {
    let mut subject = Subject::new(SMALL);
    subject.take(Class::Handle, 9, PAGE);
    subject.send(&mut Event { address: 9, ..Subject::event(Op::Retained, Class::Handle) });
    let mut releases = [(); 2].map(|()| subject.giving(Class::Handle, 9, 0));
    for release in &mut releases {
        subject.gave(release, 0);
    }
    let file = subject.file();
    assert_eq!((file.live().len(), file.gauge(0, device::RESERVED)), (0, 0));
    let verbs: Vec<_> = file.records().iter().map(|record| record.verb).collect();
    assert_eq!(verbs, [Verb::Alloc, Verb::FreeBegin]);
}

#[test]
fn a_reference_that_is_taken_while_another_goes_keeps_the_handle_and_its_name() {
    let mut subject = Subject::new(SMALL);
    subject.take(Class::Handle, 9, PAGE);
    let event = Subject::event(Op::Took, Class::Mapping);
    subject.send(&mut Event { address: PAGE, size: PAGE, aux: 9, ..event });
    let mut release = subject.giving(Class::Handle, 9, 0);
    subject.send(&mut Event { address: 9, ..Subject::event(Op::Retained, Class::Handle) });
    subject.gave(&mut release, 0);
    subject.give(Class::Mapping, PAGE, PAGE, 0);
    let file = subject.file();
    let [(_, state, handle)] = file.live()[..] else { panic!("{:?}", file.live()) };
    assert_eq!((state, handle.class, handle.link), (State::Valid, Class::Handle, LINK_REFERENCE));
    assert_eq!(file.gauge(0, device::RESERVED), PAGE);
    let of_handle = file.records().into_iter().filter(|record| record.class == Class::Handle);
    let verbs: Vec<_> = of_handle.map(|record| record.verb).collect();
    assert_eq!(verbs, [Verb::Alloc, Verb::FreeBegin, Verb::Retained]);
    subject.give(Class::Handle, 9, 0, 0);
    let file = subject.file();
    assert_eq!((file.live().len(), file.gauge(0, device::RESERVED)), (0, 0));
    assert_eq!(file.counter(Counter::UnknownFree), 0);
}

#[test]
fn a_handle_is_told_from_one_that_another_thread_ends_under_the_same_value() {
    let mut subject = Subject::new(SMALL);
    subject.take(Class::Handle, 9, PAGE);
    let mut other = subject.giving(Class::Handle, 9, 0);
    // The driver has ended that one, and gives its value out again.
    subject.take(Class::Handle, 9, 2 * PAGE);
    let event = Subject::event(Op::Took, Class::Mapping);
    subject.send(&mut Event { address: PAGE, size: PAGE, aux: 9, ..event });
    subject.give(Class::Handle, 9, 0, 0);
    let retained = Subject::event(Op::Retained, Class::Handle);
    subject.send(&mut Event { address: 9, extra: PAGE, ..retained });
    subject.gave(&mut other, 0);
    assert_eq!(subject.file().gauge(0, device::RESERVED), 2 * PAGE);
    subject.give(Class::Mapping, PAGE, PAGE, 0);
    assert_eq!(subject.file().gauge(0, device::RESERVED), 2 * PAGE, "there is a reference");
    subject.give(Class::Handle, 9, 0, 0);
    let file = subject.file();
    assert_eq!((file.live().len(), file.gauge(0, device::RESERVED)), (0, 0));
    assert_eq!(file.counter(Counter::UnknownFree), 0);
}

#[test]
fn what_is_mapped_while_its_handle_is_released_keeps_the_memory() {
    let mut subject = Subject::new(SMALL);
    subject.take(Class::Handle, 9, PAGE);
    let mut release = subject.giving(Class::Handle, 9, 0);
    let event = Subject::event(Op::Took, Class::Mapping);
    subject.send(&mut Event { address: PAGE, size: PAGE, aux: 9, ..event });
    subject.gave(&mut release, 0);
    assert_eq!(subject.file().gauge(0, device::RESERVED), PAGE);
    subject.give(Class::Mapping, PAGE, PAGE, 0);
    let file = subject.file();
    assert_eq!((file.live().len(), file.gauge(0, device::RESERVED)), (0, 0));
}

#[test]
fn a_handle_with_more_references_than_can_be_counted_stays_held() {
    let mut subject = Subject::new(SMALL);
    subject.take(Class::Handle, 9, PAGE);
    for _ in 0..64 {
        subject.send(&mut Event { address: 9, ..Subject::event(Op::Retained, Class::Handle) });
    }
    subject.give(Class::Handle, 9, 0, 0);
    let file = subject.file();
    assert_eq!((file.live().len(), file.gauge(0, device::RESERVED)), (1, PAGE));
    assert_eq!(file.records().len(), 1, "nothing ended");
}

#[test]
fn an_imported_handle_shows_its_size_when_it_is_mapped() {
    let mut subject = Subject::new(SMALL);
    subject.take(Class::ImportedHandle, 0x77, 0);
    let event = Subject::event(Op::Took, Class::Mapping);
    subject.send(&mut Event { address: PAGE, size: 3 * PAGE, aux: 0x77, extra: PAGE, ..event });
    let file = subject.file();
    let live = file.live();
    let (.., handle) =
        live.iter().find(|(.., entry)| entry.class == Class::ImportedHandle).unwrap();
    assert_eq!(handle.size, 4 * PAGE);
    assert_eq!(file.gauge(0, device::RESERVED), 0, "it is another process's memory");
}

#[test]
fn the_control_page_says_how_much_is_recorded() {
    let mut subject = Subject::new(SMALL);
    let mut at = |level: Level| {
        subject.control[0].store(level as u64, Relaxed);
        subject.take(Class::Linear, 0x1000 * (level as u64 + 1), 1);
        subject.file()
    };
    assert_ne!(at(Level::Full).records()[0].native, NO_STACK);
    assert_eq!(at(Level::Python).records()[1].native, NO_STACK);
    assert_eq!(at(Level::Bare).records().len(), 3);
    let file = at(Level::Off);
    assert_eq!(file.records().len(), 3);
    assert_eq!(Mode::of(file.header(header::MODE)), Some(Mode::Off));
    assert_eq!(Reason::of(file.header(header::MODE)), Some(Reason::Control));
    assert_eq!(at(Level::Full).records().len(), 3, "the live table is not true any more");
}

#[test]
fn the_title_is_read_again_at_the_first_second_fourth_event() {
    let mut subject = Subject::new(SMALL);
    let title = std::fs::read("/proc/self/cmdline").unwrap();
    let title = &title[..title.len().min(COMMAND.capacity())];
    let length = &subject.words[SMALL.offsets().text + COMMAND.at];
    for event in 1..=9 {
        length.store(0, Relaxed);
        subject.take(Class::Linear, event << 21, 1);
        let text = subject.file().text(COMMAND);
        let wanted = if matches!(event, 1 | 2 | 4 | 8) { title } else { b"" };
        assert_eq!(text.as_bytes(), wanted, "after event {event}");
    }
}

#[test]
fn a_forked_child_writes_nothing_but_that_it_was_there() {
    let mut subject = Subject::new(SMALL);
    subject.take(Class::Linear, 0x1000, 1);
    // SAFETY: the child runs no code but the recorder's, which takes no lock, and `_exit`.
    let child = unsafe { libc::fork() };
    if child == 0 {
        subject.take(Class::Linear, 0x2000, 1);
        subject.give(Class::Linear, 0x1000, 0, 0);
        subject.ledger.exit();
        let file = subject.file();
        let quiet = file.records().len() == 1 && file.live().len() == 1;
        let counted = file.counter(Counter::Forked) == 1 && file.header(header::EXITED) == 0;
        // SAFETY: ends the child at once.
        unsafe { libc::_exit(i32::from(!(quiet && counted))) };
    }
    let mut status = 0;
    // SAFETY: `status` is valid for writing.
    unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert_eq!(status, 0);
}

/// Frames that the optimiser cannot make one of.
#[inline(never)]
fn at_depth(depth: u32, then: &mut dyn FnMut()) {
    if depth == 0 {
        then();
    } else {
        at_depth(std::hint::black_box(depth - 1), then);
        std::hint::black_box(depth);
    }
}

#[test]
fn a_stack_too_deep_keeps_its_innermost_frames_and_is_counted() {
    let mut subject = Subject::new(SMALL);
    at_depth(10, &mut || subject.take(Class::Linear, 1 << 21, 1 << 21));
    at_depth(200, &mut || subject.take(Class::Linear, 2 << 21, 1 << 21));
    let file = subject.file();
    let stacks: Vec<Vec<u64>> = file.records().iter().map(|r| file.native(r.native)).collect();
    assert!(stacks[0].len() < 100, "{}", stacks[0].len());
    assert_eq!(stacks[1].len(), 128);
    assert_eq!(stacks[0][0], stacks[1][0]);
    assert_eq!(file.counter(Counter::StackTruncated), 1);
}
