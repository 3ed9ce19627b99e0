//! The live table, the trie, the arena and the special slots against naive models.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use proptest::prelude::*;
use wire::{
    arena::{Arena, Span},
    code::{Code, Codes},
    folder::{Special, gap_slot, source_slot, special},
    layout::{CODE_WORDS, ENTRY_WORDS, FULL, NODE_WORDS, PROFILES, SMALL, Sections},
    live::{Entry, State, Table},
    record::Class,
    trie::{FrameKind, Node, Trie},
};

fn words(n: usize) -> Vec<AtomicU64> {
    (0..n).map(|_| AtomicU64::new(0)).collect()
}

fn entry(address: u64, size: u64) -> Entry {
    Entry {
        address,
        class: Class::Block,
        device: 1,
        flags: 1,
        size,
        native: 7,
        python: 9,
        birth_us: 12_345,
        link: 3,
    }
}

fn image(words: &[AtomicU64]) -> BTreeMap<u64, Entry> {
    words
        .chunks_exact(ENTRY_WORDS)
        .filter_map(|chunk| {
            let copy = std::array::from_fn(|i| chunk[i].load(Relaxed));
            Entry::decode(&copy).1
        })
        .map(|entry| (entry.address, entry))
        .collect()
}

#[test]
fn half_of_the_full_table_fits_and_every_entry_is_found_again() {
    let cells = words(FULL.entries * ENTRY_WORDS);
    let table = Table::new(&cells);
    // Addresses as an allocator makes them: steps of 512 bytes and of 2 MiB.
    let addresses: Vec<u64> = (0..FULL.entries as u64 / 2)
        .map(|n| 0x7f00_0000_0000 + if n % 3 == 0 { n << 21 } else { n << 9 })
        .collect();
    for address in &addresses {
        assert!(table.insert(&entry(*address, 512)).is_some(), "no room for {address:#x}");
    }
    for address in &addresses {
        assert_eq!(table.find(*address, State::Valid, |_| true).unwrap().1.address, *address);
    }
}

#[test]
fn an_address_may_be_a_segment_and_a_block_at_once() {
    let cells = words(64 * ENTRY_WORDS);
    let table = Table::new(&cells);
    let segment = Entry { class: Class::Linear, ..entry(4096, 1 << 21) };
    table.insert(&segment).unwrap();
    table.insert(&entry(4096, 512)).unwrap();
    let (index, found) = table.find(4096, State::Valid, |e| e.class == Class::Block).unwrap();
    assert_eq!(found.size, 512);
    assert!(table.shift(index, State::Valid, State::Tombstone));
    assert!(table.find(4096, State::Valid, |e| e.class == Class::Block).is_none());
    assert_eq!(table.find(4096, State::Valid, |_| true).unwrap().1, segment);
}

#[test]
fn a_failed_free_gives_the_entry_back_and_a_second_free_finds_nothing() {
    let cells = words(64 * ENTRY_WORDS);
    let table = Table::new(&cells);
    let index = table.insert(&entry(8192, 512)).unwrap();
    assert!(table.shift(index, State::Valid, State::Freeing));
    assert!(!table.shift(index, State::Valid, State::Freeing), "only one free may begin");
    assert!(table.shift(index, State::Freeing, State::Valid));
    assert_eq!(table.get(index), Some((State::Valid, entry(8192, 512))));
    assert!(table.shift(index, State::Valid, State::Tombstone));
    assert!(table.find(8192, State::Valid, |_| true).is_none());
}

#[test]
fn a_full_table_refuses_instead_of_overwriting() {
    let cells = words(16 * ENTRY_WORDS);
    let table = Table::new(&cells);
    for n in 0..16 {
        assert!(table.insert(&entry(n << 9, n)).is_some());
    }
    assert_eq!(table.insert(&entry(99 << 9, 1)), None);
    assert_eq!(image(&cells).len(), 16);
}

#[test]
fn links_count_mappings_and_references_apart() {
    use wire::live::{LINK_MAPPING, LINK_REFERENCE};
    let cells = words(16 * ENTRY_WORDS);
    let table = Table::new(&cells);
    let index = table.insert(&Entry { link: LINK_REFERENCE, ..entry(1, 2) }).unwrap();
    assert_eq!(table.link_add(index, LINK_MAPPING), Some(LINK_REFERENCE | LINK_MAPPING));
    assert_eq!(table.link_sub(index, LINK_REFERENCE), Some(LINK_MAPPING));
    assert_eq!(table.link_sub(index, LINK_MAPPING), Some(0));
    assert_eq!(table.get(index).unwrap().1.birth_us, 12_345, "the birth beside it is untouched");
}

#[test]
fn a_count_of_a_link_that_reached_its_top_stays_there_and_leaves_the_other_alone() {
    use wire::live::{LINK_MAPPING, LINK_REFERENCE};
    let cells = words(16 * ENTRY_WORDS);
    let table = Table::new(&cells);
    let full = |one| if one == LINK_MAPPING { LINK_REFERENCE - 1 } else { !(LINK_REFERENCE - 1) };
    for (one, other) in [(LINK_MAPPING, LINK_REFERENCE), (LINK_REFERENCE, LINK_MAPPING)] {
        let index = table.insert(&Entry { link: other, ..entry(1, 2) }).unwrap();
        assert_eq!(table.link_sub(index, one), Some(other), "there was none");
        for _ in 0..5_000 {
            let _ = table.link_add(index, one);
        }
        assert_eq!(table.link_add(index, one), Some(full(one) | other));
        for _ in 0..5_000 {
            let _ = table.link_sub(index, one);
        }
        assert_eq!(table.link_sub(index, one), Some(full(one) | other));
        assert_eq!(table.link_sub(index, other), Some(full(one)));
        assert_eq!(
            table.get(index).unwrap().1.birth_us,
            12_345,
            "the birth beside it is untouched"
        );
    }
}

#[test]
fn equal_stacks_get_equal_ids_and_a_full_trie_says_so() {
    let cells = words(64 * NODE_WORDS);
    let trie = Trie::new(&cells);
    let outer = Node { parent: 0, kind: FrameKind::Python, frame: 5 };
    let (id, new) = trie.intern(&outer).unwrap();
    assert!(new && id != 0);
    assert_eq!(trie.intern(&outer), Some((id, false)));
    let (inner, _) = trie.intern(&Node { parent: id, kind: FrameKind::Python, frame: 5 }).unwrap();
    let (native, _) = trie.intern(&Node { kind: FrameKind::Native, ..outer }).unwrap();
    assert!(inner != id && native != id && native != inner);
    let fitted = (0..200)
        .filter(|n| {
            trie.intern(&Node { parent: inner, kind: FrameKind::Native, frame: 1000 + n }).is_some()
        })
        .count();
    assert_eq!(fitted, 60, "63 places (0 is the root), 3 taken");
    let copy = [cells[id as usize * 2].load(Relaxed), cells[id as usize * 2 + 1].load(Relaxed)];
    assert_eq!(Node::decode(&copy), Some(outer));
}

#[test]
fn the_arena_never_hands_out_more_than_it_has() {
    let (cells, next) = (words(4), AtomicU64::new(0));
    let arena = Arena::new(&cells, &next);
    assert_eq!(arena.append(b"memtrace!"), Some(Span { word: 0, length: 9 }));
    assert_eq!(cells[0].load(Relaxed), u64::from_le_bytes(*b"memtrace"));
    assert_eq!(arena.append(b"seventeen bytes.."), None);
    assert_eq!(arena.append(b"12345678"), Some(Span { word: 2, length: 8 }));
}

#[test]
fn special_slots_are_told_from_records_and_from_damage() {
    let source = source_slot([1, 2], 3);
    assert_eq!(special(&source), Some(Special::Source { instance: [1, 2], salt: 3 }));
    assert_eq!(special(&gap_slot(9)), Some(Special::Gap { lost: 9 }));
    let mut damaged = source;
    damaged[2] ^= 1;
    assert_eq!(special(&damaged), None);
    assert_eq!(special(&[0; 8]), None);
}

#[test]
fn sections_tile_the_file() {
    for layout in PROFILES {
        let cells = words(layout.offsets().end);
        let sections = Sections::split(&cells, &layout).unwrap();
        let sum = sections.header.len()
            + sections.devices.len()
            + sections.text.len()
            + sections.ring.len()
            + sections.live.len()
            + sections.nodes.len()
            + sections.codes.len()
            + sections.modules.len()
            + sections.arena.len();
        assert_eq!(sum * 8, layout.bytes());
        assert!(Sections::split(&cells[1..], &layout).is_none());
    }
    assert!(SMALL.bytes() < FULL.bytes());
}

proptest! {
    #[test]
    fn the_table_holds_what_a_map_holds(
        steps in proptest::collection::vec((0_u64..40, any::<bool>(), 1_u64..1 << 40), 1..400),
    ) {
        let cells = words(128 * ENTRY_WORDS);
        let table = Table::new(&cells);
        let mut model = BTreeMap::new();
        for (n, free, size) in steps {
            let address = n << 21;
            if free {
                let found = table.find(address, State::Valid, |_| true);
                prop_assert_eq!(found.map(|f| f.1.size), model.remove(&address));
                if let Some((index, _)) = found {
                    prop_assert!(table.shift(index, State::Valid, State::Freeing));
                    prop_assert!(table.shift(index, State::Freeing, State::Tombstone));
                }
            } else if let std::collections::btree_map::Entry::Vacant(place) = model.entry(address) {
                prop_assert!(table.insert(&entry(address, size)).is_some());
                place.insert(size);
            }
        }
        let held: BTreeMap<u64, u64> = image(&cells).into_iter().map(|(a, e)| (a, e.size)).collect();
        prop_assert_eq!(held, model);
    }

    #[test]
    fn every_entry_survives_packing(
        address: u64, device in 0_u8..64, flags in 0_u8..4, size in 0_u64..1 << 48,
        native: u32, python: u32, birth_us in 0_u64..1 << 48, link: u16, class in 0_u8..14,
    ) {
        let class = Class::of(class).unwrap();
        let entry = Entry { address, class, device, flags, size, native, python, birth_us, link };
        prop_assert_eq!(Entry::decode(&entry.encode()), (State::Valid, Some(entry)));
    }
}

#[test]
fn an_entry_that_another_thread_is_writing_is_known_by_whose_it_will_be() {
    let cells = words(16 * CODE_WORDS);
    let codes = Codes::new(&cells);
    let code = Code { first_line: 7, ..Code::default() };
    let mut meanwhile = None;
    let id = codes.intern(3, 4, || {
        let again = codes.intern(3, 4, || panic!("it is being written"));
        let other = codes.intern(3, 5, || Some(code));
        meanwhile = Some((codes.find(3, 4), again, other));
        Some(code)
    });
    let (found, again, other) = meanwhile.unwrap();
    assert!(id.is_some() && (found, again) == (id, id));
    assert!(other.is_some() && other != id);
    assert_eq!((codes.find(3, 4), codes.find(3, 5)), (id, other));
}

#[test]
fn what_could_not_be_copied_takes_one_entry_however_often_it_is_met() {
    let cells = words(16 * CODE_WORDS);
    let codes = Codes::new(&cells);
    for _ in 0..100 {
        assert_eq!(codes.intern(3, 4, || None), None);
        assert_eq!(codes.find(3, 4), None);
    }
    let used = cells.chunks(CODE_WORDS).filter(|entry| entry[7].load(Relaxed) != 0).count();
    assert_eq!(used, 1);
    assert!(codes.intern(3, 5, || Some(Code::default())).is_some());
}
