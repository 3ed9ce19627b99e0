//! The ring against its promise: a record is read whole or not at all, and every loss is countable.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use proptest::prelude::*;
use wire::{
    layout::SLOT_WORDS,
    record::{Class, Record, Verb},
    ring::{Consumer, Producer, Read, committed, judge, writing},
};

const SALT: u64 = 0x5eed;

fn words(n: usize) -> Vec<AtomicU64> {
    (0..n).map(|_| AtomicU64::new(0)).collect()
}

fn record(n: u64) -> Record {
    Record {
        time: n,
        address: n << 9,
        size: n * 512,
        aux: !n,
        verb: Verb::Alloc,
        class: Class::Block,
        api: n as u8,
        device: (n % 64) as u8,
        result: (n % 1024) as u16,
        tid: (n % (1 << 22)) as u32,
        flags: (n >> 3) as u8,
        native: n as u32,
        python: !n as u32,
    }
}

#[test]
fn a_wrapped_ring_keeps_exactly_its_newest_slots() {
    let (slots, head, dropped) = (words(16 * SLOT_WORDS), AtomicU64::new(0), AtomicU64::new(0));
    let producer = Producer::new(&slots, &head, &dropped, SALT);
    for n in 0..40 {
        producer.publish(&record(n));
    }
    let consumer = Consumer::new(&slots, SALT);
    for n in 0..40 {
        let expected = if n < 24 { Read::Overwritten } else { Read::Record(record(n)) };
        assert_eq!(consumer.read(n), expected, "position {n}");
    }
    assert_eq!(consumer.read(40), Read::Pending);
    assert_eq!((head.load(Relaxed), dropped.load(Relaxed)), (40, 0));
}

#[test]
fn a_writer_that_died_costs_its_slot_and_nothing_else() {
    let (slots, head, dropped) = (words(8 * SLOT_WORDS), AtomicU64::new(0), AtomicU64::new(0));
    let producer = Producer::new(&slots, &head, &dropped, SALT);
    // A thread killed after its claim: position 3 stays odd for ever.
    for n in 0..3 {
        producer.publish(&record(n));
    }
    let position = head.fetch_add(1, Relaxed);
    slots[3 * SLOT_WORDS].store(writing(position), Relaxed);
    for n in 4..20 {
        producer.publish(&record(n));
    }
    let consumer = Consumer::new(&slots, SALT);
    for n in 12..20 {
        // Position 11 and 19 map to the dead slot.
        let expected = if n % 8 == 3 { Read::Pending } else { Read::Record(record(n)) };
        assert_eq!(consumer.read(n), expected, "position {n}");
    }
    assert_eq!(dropped.load(Relaxed), 2, "each record that met the dead slot is counted");
}

#[test]
fn concurrent_writers_never_tear_a_record() {
    const WRITERS: u64 = 4;
    const EACH: u64 = 20_000;
    // Far more than that, where the machine lets the reader wait.
    const AT_MOST: u64 = 20_000_000;
    let (slots, head, dropped) = (words(64 * SLOT_WORDS), AtomicU64::new(0), AtomicU64::new(0));
    let (done, written, read) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let producer = Producer::new(&slots, &head, &dropped, SALT);
            let (done, written, read) = (&done, &written, &read);
            scope.spawn(move || {
                let mut n = 0;
                while n < EACH || n < AT_MOST && read.load(Relaxed) == 0 {
                    // Every field follows from `time`, so a mixture of two records shows.
                    producer.publish(&record(writer * AT_MOST + n));
                    n += 1;
                }
                written.fetch_add(n, Relaxed);
                done.fetch_add(1, Relaxed);
            });
        }
        let consumer = Consumer::new(&slots, SALT);
        while done.load(Relaxed) < WRITERS {
            let from = head.load(Relaxed).saturating_sub(64);
            for position in from..from + 64 {
                match consumer.read(position) {
                    Read::Record(found) => {
                        assert_eq!(found, record(found.time));
                        read.fetch_add(1, Relaxed);
                    }
                    Read::Damaged | Read::Unknown => panic!("torn record accepted"),
                    Read::Pending | Read::Overwritten => {}
                }
            }
        }
        assert!(read.load(Relaxed) > 0, "the reader saw nothing: the test tested nothing");
    });
    assert_eq!(head.load(Relaxed), written.load(Relaxed));
}

proptest! {
    #[test]
    fn every_record_survives_packing(
        time: u64, address: u64, size: u64, aux: u64, api: u8, device in 0_u8..64,
        result in 0_u16..1024, tid in 0_u32..1 << 22, flags: u8, native: u32, python: u32,
        verb in 0_u8..32, class in 0_u8..32,
    ) {
        if let (Some(verb), Some(class)) = (Verb::of(verb), Class::of(class)) {
            let record = Record {
                time, address, size, aux, verb, class, api, device, result, tid, flags, native, python,
            };
            prop_assert_eq!(Record::decode(&record.encode()), Some(record));
        }
    }

    #[test]
    fn a_flipped_bit_is_noticed(n in 0_u64..1 << 40, word in 1_usize..SLOT_WORDS, bit in 0_u32..64) {
        let slots = words(SLOT_WORDS);
        let head = AtomicU64::new(n);
        let dropped = AtomicU64::new(0);
        Producer::new(&slots, &head, &dropped, SALT).publish(&record(n));
        let mut slot: [u64; SLOT_WORDS] = std::array::from_fn(|i| slots[i].load(Relaxed));
        prop_assert_eq!(judge(&slot, n, SALT), Read::Record(record(n)));
        slot[word] ^= 1 << bit;
        prop_assert_eq!(judge(&slot, n, SALT), Read::Damaged);
    }

    #[test]
    fn random_bytes_are_never_a_record(slot: [u64; SLOT_WORDS], n: u64) {
        let mut slot = slot;
        prop_assert!(!matches!(judge(&slot, n, SALT), Read::Record(_)));
        slot[0] = committed(n);
        prop_assert!(!matches!(judge(&slot, n, SALT), Read::Record(_)));
    }
}
