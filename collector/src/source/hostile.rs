//! Files that lie: nothing here may panic, hang, or take more memory than a few times the file.

use std::{
    fs,
    os::unix::fs::FileExt,
    path::Path,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use proptest::prelude::*;
use wire::{
    header,
    layout::{SMALL, WORD},
    record::Class,
};

use super::{Drain, Drained, RingFile, TableReader, fake::FakeRing};

/// Reads all there is to read, as the collector does.
fn read_all(path: &Path) {
    let Ok(ring) = RingFile::open(path) else { return };
    ring.identity().unwrap();
    ring.health().unwrap();
    ring.gauges().unwrap();
    let live = ring.live().unwrap();
    assert!(live.entries.len() <= ring.layout().entries);
    let mut tables = TableReader::new(&ring);
    for entry in &live.entries {
        tables.live(&ring, entry).unwrap();
    }
    let mut records = Vec::new();
    let mut drain = Drain::new();
    drain
        .step(&ring, false, |drained| {
            if let Drained::Slot { record: Some(record), .. } = drained {
                records.push(record);
            }
        })
        .unwrap();
    assert!(records.len() <= ring.layout().slots);
    for record in &records {
        tables.record(&ring, record).unwrap();
    }
    let new = tables.take(&ring).unwrap();
    let text = |s: &String| s.len();
    let copied: usize = new.codes.iter().map(|(_, c)| text(&c.name) + c.lines.len()).sum::<usize>()
        + new.modules.iter().map(|m| text(&m.path)).sum::<usize>();
    // A byte that is not UTF-8 becomes three.
    assert!(copied <= 3 * 4 * ring.layout().arena_words * WORD);
    tables.apis(&ring).unwrap();
}

fn good() -> FakeRing {
    let ring = FakeRing::new([1, 2]);
    let stack = ring.python_stack("f");
    ring.module(0x1000, 0x2000, "/lib/libc.so.6");
    for i in 0..200 {
        ring.take(Class::Block, 0x7f00_0000_0000 + i * 512, 512, stack);
    }
    ring
}

#[test]
fn spans_that_all_cover_the_whole_arena_do_not_multiply_it() {
    let ring = good();
    let at = SMALL.offsets();
    let whole = (SMALL.arena_words * WORD) as u64;
    // Every code object is ready and names the whole arena as its line table; every node is a
    // Python frame of another code object; every entry names another node.
    for index in 0..SMALL.codes {
        let code = at.codes + index * 8;
        (0..8).for_each(|word| ring.set(code + word, whole));
        ring.set(code + 7, 2);
    }
    for index in 0..SMALL.nodes {
        ring.set(at.nodes + index * 2, 2 | 2 << 2);
        ring.set(at.nodes + index * 2 + 1, (index as u64 % SMALL.codes as u64) << 32);
    }
    for index in 0..SMALL.entries {
        ring.set(at.live + index * 4 + 1, 2 | 13 << 3 | 1 << 16);
        ring.set(at.live + index * 4 + 2, (index as u64) << 32);
    }
    let folder = tempfile::tempdir().unwrap();
    read_all(&ring.save(folder.path()));
}

#[test]
fn a_stack_that_is_its_own_parent_ends() {
    let ring = good();
    let at = SMALL.offsets();
    ring.set(at.nodes + 2 * 5, 2 | 1 << 2 | 5 << 32);
    let folder = tempfile::tempdir().unwrap();
    let file = ring.open(folder.path());
    let mut tables = TableReader::new(&file);
    let record = super::fake::record(wire::record::Verb::Alloc, Class::Block, 1, 1, 5);
    tables.record(&file, &record).unwrap();
    assert_eq!(tables.take(&file).unwrap().nodes.len(), 1);
}

#[test]
fn a_file_that_changes_while_it_is_read_does_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    let path = good().save(folder.path());
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut random = 1u64;
            while !done.load(Relaxed) {
                random = wire::mix(random.wrapping_add(0x9e37_79b9_7f4a_7c15));
                // Beyond the words that decide whether the file is opened at all.
                let word = 16 + random % (SMALL.offsets().end as u64 - 16);
                let value = if random & 1 << 40 == 0 { random } else { random >> 56 };
                file.write_all_at(&value.to_le_bytes(), word * WORD as u64).unwrap();
            }
        });
        for _ in 0..10 {
            read_all(&path);
        }
        done.store(true, Relaxed);
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn random_bytes_of_the_right_size_are_read_without_harm(
        seed in any::<u64>(),
        header_is_good in any::<bool>(),
    ) {
        let mut state = seed;
        let ring = FakeRing::new([1, 2]);
        let kept = if header_is_good { header::EXITED } else { 0 };
        for word in kept..SMALL.offsets().end {
            state = wire::mix(state.wrapping_add(0x9e37_79b9_7f4a_7c15));
            ring.set(word, state);
        }
        let folder = tempfile::tempdir().unwrap();
        read_all(&ring.save(folder.path()));
    }

    #[test]
    fn a_good_file_with_some_words_changed_is_read_without_harm(
        changes in prop::collection::vec(
            (any::<prop::sample::Index>(), 0u8..4, any::<u64>()), 1..200,
        ),
        in_header in any::<bool>(),
    ) {
        let ring = good();
        let reach = if in_header { 2048 } else { SMALL.offsets().end };
        for (index, how, value) in changes {
            let word = index.index(reach);
            let before = ring.words[word].load(std::sync::atomic::Ordering::Relaxed);
            ring.set(word, match how {
                0 => value,
                1 => u64::MAX,
                2 => before ^ 1 << (value % 64),
                _ => before.wrapping_add(value % 16),
            });
        }
        let folder = tempfile::tempdir().unwrap();
        read_all(&ring.save(folder.path()));
    }

    #[test]
    fn a_file_of_any_size_is_refused_or_read(size in 0usize..20_000, fill in any::<u8>()) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let mut bytes = good().bytes();
        bytes.truncate(size);
        if let Some(last) = bytes.last_mut() {
            *last = fill;
        }
        fs::write(&path, bytes).unwrap();
        prop_assert!(RingFile::open(&path).is_err());
    }
}
