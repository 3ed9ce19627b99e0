//! What ends with something else: with a context what is of it, with its last block a pool that was destroyed.

mod support;

use hook::event::{CONTEXT_OWN, CONTEXT_PRIMARY, Event, KNOWN_POOL, Op};
use support::{
    subject::Subject,
    subject::{send, thread},
};
use wire::{
    device::{POOL_ALLOCATED, RESERVED},
    header::Counter,
    layout::SMALL,
    record::{Class, Step},
};

const PAGE: u64 = 2 << 20;
const POOL: u64 = 0x900;
const OWN: u64 = 0xc1;
const PRIMARY: u64 = 0xc0;

fn make_own_context(subject: &mut Subject, context: u64) {
    let made = Event { aux: Step::ContextMade as u64, ..Subject::event(Op::Called, Class::None) };
    subject.send(&mut Event { address: context, extra: CONTEXT_OWN, ..made });
}

/// Ends a context; 0 is the primary one of device 0.
fn reset(subject: &mut Subject, context: u64) {
    subject.send(&mut Event { aux: context, ..Subject::event(Op::Reset, Class::None) });
}

/// Takes one of each that is of a context, and what is of none.
fn take_in(subject: &mut Subject, context: u64, at: u64) {
    for class in [Class::Linear, Class::Managed, Class::Array] {
        let event =
            Event { address: at, size: PAGE, aux: context, ..Subject::event(Op::Took, class) };
        subject.send(&mut { event });
    }
    for class in [Class::Host, Class::IpcImport, Class::External, Class::View] {
        let event = Event { address: at, size: PAGE, ..Subject::event(Op::Took, class) };
        // What else it is told has nothing to do with contexts.
        subject.send(&mut Event { aux: OWN, extra: context, ..event });
    }
    subject.take(Class::Handle, at, PAGE);
}

/// Addresses of what is held, of each class but identities.
fn held(subject: &Subject) -> Vec<(Class, u64)> {
    let live = subject.file().live();
    let all = live.iter().map(|(.., entry)| (entry.class, entry.address));
    let mut all: Vec<_> = all.filter(|(class, _)| *class != Class::Identity).collect();
    all.sort_unstable();
    all
}

#[test]
fn with_a_context_ends_all_that_is_of_it_and_what_is_of_none_or_another_stays() {
    let mut subject = Subject::new(SMALL);
    make_own_context(&mut subject, OWN);
    take_in(&mut subject, OWN, PAGE);
    let others = held(&subject).len();
    take_in(&mut subject, PRIMARY, 2 * PAGE);
    reset(&mut subject, OWN);
    let left = held(&subject);
    assert_eq!(left.len(), others + 1, "{left:?}");
    assert!(left.iter().all(|(class, at)| *at == 2 * PAGE || *class == Class::Handle));
    assert_eq!(subject.file().gauge(0, RESERVED), 4 * PAGE);
}

#[test]
fn with_the_primary_context_ends_nothing_of_one_the_program_made_for_itself() {
    let mut subject = Subject::new(SMALL);
    make_own_context(&mut subject, OWN);
    take_in(&mut subject, OWN, PAGE);
    let of_own = held(&subject);
    take_in(&mut subject, PRIMARY, 2 * PAGE);
    reset(&mut subject, 0);
    let left: Vec<_> =
        held(&subject).into_iter().filter(|thing| *thing != (Class::Handle, 2 * PAGE)).collect();
    assert_eq!(left, of_own);
}

#[test]
fn what_was_opened_ends_with_the_context_it_was_opened_in_whichever_device_it_lies_on() {
    for (ended, left) in [(0, vec![2 * PAGE]), (1, vec![PAGE])] {
        let mut subject = Subject::new(SMALL);
        // Each in the context of one device, and on the other one.
        for (device, context) in [(0, PRIMARY), (1, PRIMARY + 1)] {
            let made = Subject::event(Op::Called, Class::None);
            let made = Event { aux: Step::ContextMade as u64, extra: CONTEXT_PRIMARY, ..made };
            subject.send(&mut Event { address: context, device, ..made });
            let opened = Subject::event(Op::Took, Class::IpcImport);
            let at = (u64::from(device) + 1) * PAGE;
            let opened = Event { address: at, device: 1 - device, extra: context, ..opened };
            subject.send(&mut { opened });
        }
        subject.send(&mut Event { device: ended, ..Subject::event(Op::Reset, Class::None) });
        let addresses: Vec<u64> = held(&subject).into_iter().map(|(_, at)| at).collect();
        assert_eq!(addresses, left);
    }
}

fn take_linear(subject: &mut Subject, context: u64, at: u64) {
    let event = Subject::event(Op::Took, Class::Linear);
    subject.send(&mut Event { address: at, size: PAGE, aux: context, ..event });
}

#[test]
fn what_a_driver_gives_out_again_while_a_context_is_taken_out_of_the_books_is_not_of_it() {
    let mut subject = Subject::new(SMALL);
    make_own_context(&mut subject, OWN);
    take_linear(&mut subject, OWN, PAGE);
    take_linear(&mut subject, OWN, 2 * PAGE);
    let resetting = Subject::event(Op::Resetting, Class::None);
    let mut end = Event { aux: OWN, ..resetting };
    subject.send(&mut end);
    // The driver has ended it; other threads get its addresses, and its own.
    take_linear(&mut subject, PRIMARY, PAGE);
    subject.give(Class::Linear, PAGE, 0, 0);
    make_own_context(&mut subject, OWN);
    take_linear(&mut subject, OWN, 2 * PAGE);
    end.op = Op::Reset;
    subject.send(&mut end);
    assert_eq!(held(&subject), [(Class::Linear, 2 * PAGE)]);
    reset(&mut subject, OWN);
    let file = subject.file();
    assert_eq!((file.live().len(), file.gauge(0, RESERVED)), (0, 0));
}

#[test]
fn a_context_that_could_not_be_ended_holds_what_it_held() {
    let mut subject = Subject::new(SMALL);
    for context in [OWN, OWN + 1] {
        make_own_context(&mut subject, context);
        take_linear(&mut subject, context, context * PAGE);
        let mut end = Event { aux: context, ..Subject::event(Op::Resetting, Class::None) };
        subject.send(&mut end);
        end.op = Op::Reset;
        end.result = 201;
        subject.send(&mut end);
    }
    subject.give(Class::Linear, OWN * PAGE, 0, 0);
    assert_eq!(held(&subject), [(Class::Linear, (OWN + 1) * PAGE)]);
    reset(&mut subject, OWN + 1);
    assert_eq!(held(&subject), []);
    assert_eq!(subject.file().counter(Counter::UnknownFree), 0);
}

#[test]
fn a_program_may_make_and_end_more_contexts_than_there_are_numbers() {
    let mut subject = Subject::new(SMALL);
    for context in 1..=1000 {
        make_own_context(&mut subject, context);
        take_linear(&mut subject, context, PAGE);
        reset(&mut subject, context);
    }
    let file = subject.file();
    assert_eq!((file.live().len(), file.gauge(0, RESERVED)), (0, 0));
}

fn read(subject: &mut Subject, reserve: u64) {
    let reading = Subject::event(Op::PoolReading, Class::Pool);
    subject.send(&mut Event { address: POOL, size: reserve, ..reading });
}

fn take_block(subject: &mut Subject, at: u64) {
    let event = Subject::event(Op::Took, Class::PoolBlock);
    subject.send(&mut Event { address: at, size: PAGE, aux: POOL, ..event });
}

/// A process with a pool of 16 pages, in which `blocks` lie.
fn with_pool(blocks: u64) -> Subject {
    let mut subject = Subject::new(SMALL);
    subject.take(Class::Pool, POOL, 0);
    (1..=blocks).for_each(|block| take_block(&mut subject, block * PAGE));
    read(&mut subject, 16 * PAGE);
    subject
}

#[test]
fn a_pool_that_was_destroyed_goes_with_the_last_of_its_blocks() {
    let mut subject = with_pool(3);
    subject.give(Class::PoolBlock, PAGE, 0, 0);
    subject.give(Class::Pool, POOL, 0, 0);
    for block in [2, 3] {
        assert_eq!(subject.file().gauge(0, RESERVED), 16 * PAGE);
        subject.give(Class::PoolBlock, block * PAGE, 0, 0);
    }
    let file = subject.file();
    assert_eq!((file.live().len(), file.gauge(0, RESERVED)), (0, 0));
    assert_eq!(file.counter(Counter::UnknownFree), 0);
}

#[test]
fn a_pool_that_was_destroyed_has_no_name_another_may_have_it() {
    let mut subject = with_pool(1);
    subject.give(Class::Pool, POOL, 0, 0);
    subject.take(Class::Pool, POOL, 0);
    take_block(&mut subject, 9 * PAGE);
    read(&mut subject, 2 * PAGE);
    assert_eq!(subject.file().gauge(0, RESERVED), 18 * PAGE);
    subject.give(Class::PoolBlock, PAGE, 0, 0);
    assert_eq!(subject.file().gauge(0, RESERVED), 2 * PAGE);
    subject.give(Class::PoolBlock, 9 * PAGE, 0, 0);
    assert_eq!(subject.file().gauge(0, RESERVED), 2 * PAGE, "it was not destroyed");
    subject.give(Class::Pool, POOL, 0, 0);
    assert_eq!(subject.file().gauge(0, RESERVED), 0);
}

#[test]
fn what_a_driver_still_tells_of_a_pool_that_was_destroyed_counts_once() {
    let mut subject = with_pool(1);
    subject.give(Class::Pool, POOL, 0, 0);
    read(&mut subject, 3 * PAGE);
    assert_eq!(subject.file().gauge(0, RESERVED), 3 * PAGE);
    subject.give(Class::PoolBlock, PAGE, 0, 0);
    assert_eq!(subject.file().gauge(0, RESERVED), 0);
}

#[test]
fn what_was_read_of_a_pool_after_a_free_makes_no_pool_of_one_that_ended_meanwhile() {
    let mut subject = with_pool(0);
    let reading = Event { extra: KNOWN_POOL, ..Subject::event(Op::PoolReading, Class::Pool) };
    let mut reading = Event { address: POOL, size: 3 * PAGE, ..reading };
    subject.send(&mut reading);
    assert_eq!(subject.file().gauge(0, RESERVED), 3 * PAGE);
    subject.give(Class::Pool, POOL, 0, 0);
    subject.send(&mut reading);
    let file = subject.file();
    assert_eq!((file.live().len(), file.gauge(0, RESERVED)), (0, 0));
}

#[test]
fn with_the_primary_context_pools_are_empty_until_they_are_read_again() {
    let mut subject = with_pool(3);
    reset(&mut subject, 0);
    let file = subject.file();
    assert_eq!((file.gauge(0, RESERVED), file.gauge(0, POOL_ALLOCATED)), (0, 0));
    assert_eq!(held(&subject), [(Class::Pool, POOL)]);
    read(&mut subject, 4 * PAGE);
    assert_eq!(subject.file().gauge(0, RESERVED), 4 * PAGE);
    take_block(&mut subject, PAGE);
    subject.give(Class::Pool, POOL, 0, 0);
    reset(&mut subject, 0);
    let file = subject.file();
    assert_eq!((file.live().len(), file.gauge(0, RESERVED)), (0, 0), "destroyed, and emptied");
}

#[test]
fn a_block_lies_on_the_device_of_its_pool() {
    let mut subject = with_pool(1);
    let event = Event { device: 1, ..Subject::event(Op::Took, Class::PoolBlock) };
    subject.send(&mut Event { address: 5 * PAGE, size: PAGE, aux: POOL, ..event });
    let file = subject.file();
    assert_eq!([0, 1].map(|device| file.gauge(device, POOL_ALLOCATED)), [2 * PAGE, 0]);
    assert!(file.records().iter().all(|record| record.device == 0));
}

#[test]
fn blocks_that_go_from_many_threads_while_their_pool_is_destroyed_take_it_along() {
    for _ in 0..8 {
        let blocks = 64;
        let mut subject = with_pool(blocks);
        let mut destroy = subject.giving(Class::Pool, POOL, 0);
        std::thread::scope(|scope| {
            for part in 0..4 {
                let ledger = &subject.ledger;
                scope.spawn(move || {
                    let mut of_thread = thread(100 + part);
                    for block in (1..=blocks).filter(|block| block % 4 == u64::from(part)) {
                        let classes = 1 << Class::PoolBlock as u32;
                        let event = Subject::event(Op::GivingBack, Class::None);
                        let mut event = Event { address: block * PAGE, classes, ..event };
                        send(ledger, &mut of_thread, &mut event);
                        event.op = Op::GaveBack;
                        send(ledger, &mut of_thread, &mut event);
                    }
                });
            }
            let mut of_thread = thread(99);
            destroy.op = Op::GaveBack;
            send(&subject.ledger, &mut of_thread, &mut destroy);
        });
        let file = subject.file();
        assert_eq!((file.live().len(), file.gauge(0, RESERVED)), (0, 0));
    }
}
