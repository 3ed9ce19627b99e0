//! The detector on maps whose truth is known, and against a map painted byte by byte.

use proptest::{collection::vec, prelude::*};

use super::{
    fragmentation::{Holder, Pin, Verdict, check, holders, map},
    swing::Rest,
};
use crate::state::{Block, Extent, Kind, Segment, Site};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

fn site(python: u32) -> Site {
    Site { native: 0, python }
}

fn block(address: u64, size: u64, birth: u64) -> Block {
    Block { address, size, site: site(1), birth }
}

/// PyTorch's memory from `start` in extents of these sizes, with these blocks in it.
pub(super) fn segment(start: u64, sizes: &[u64], blocks: &[Block]) -> Segment {
    let mut at = start;
    let extents: Vec<Extent> = sizes
        .iter()
        .map(|size| {
            let (from, to) = (at, at + size);
            at = to;
            let over = |b: &Block| to.min(b.address + b.size).saturating_sub(from.max(b.address));
            let live = blocks.iter().map(over).sum();
            Extent {
                start: from,
                size: *size,
                physical: *size,
                live,
                private: false,
                site: site(9),
                birth: 0,
            }
        })
        .collect();
    Segment {
        kind: Kind::Linear,
        device: 0,
        start,
        size: at - start,
        mapped: true,
        site: site(9),
        birth: 0,
        reservation: None,
        extents,
        blocks: blocks.to_vec(),
        holds_blocks: true,
    }
}

#[test]
fn the_map_of_a_public_report_is_told_to_the_byte() {
    // 10,628 MiB stranded by 476 MiB in four blocks, one to an extent.
    let size = (10_628 + 476) / 4 * MIB;
    let segments: Vec<Segment> = (0..4)
        .map(|n| {
            let start = n * 10 * GIB;
            segment(start, &[size], &[block(start + 100 * MIB, 119 * MIB, 5)])
        })
        .collect();
    let map = map(&segments, 5);
    assert_eq!((map.stranded, map.settled, map.shared), (10_628 * MIB, 10_628 * MIB, (0, 0)));
    let holders = holders(&map.pins);
    let all = Holder { site: site(1), blocks: 4, bytes: 476 * MIB, stranded: 10_628 * MIB };
    assert_eq!(holders, [all], "leverage {}", all.stranded / all.bytes);
}

#[test]
fn a_block_counts_for_the_extents_it_has_alone_and_shared_ones_stand_apart() {
    // Over three extents of 2 MiB: one block reaches into the second, where another lies.
    let (long, other) = (block(MIB, 2 * MIB, 0), block(3 * MIB + MIB / 2, MIB / 4, 0));
    let map = map(&[segment(0, &[2 * MIB; 3], &[long, other])], 0);
    assert_eq!(map.pins, [Pin { block: long, stranded: MIB }]);
    assert_eq!(map.shared, (MIB - MIB / 4, 1));
    assert_eq!(map.stranded, 2 * MIB - MIB / 4);
}

#[test]
fn pins_are_ranked_by_what_a_byte_of_them_keeps() {
    let small = block(0, MIB, 0);
    let large = block(100 * MIB, 40 * MIB, 0);
    let map =
        map(&[segment(0, &[20 * MIB], &[small]), segment(100 * MIB, &[90 * MIB], &[large])], 0);
    let stranded: Vec<u64> = map.pins.iter().map(|pin| pin.stranded / MIB).collect();
    assert_eq!(stranded, [19, 50]);
}

#[test]
fn graph_pools_driver_pools_and_memory_of_others_are_left_out() {
    let live = [block(0, MIB, 0)];
    let whole = segment(0, &[20 * MIB], &live);
    let of = |change: fn(&mut Segment)| {
        let mut segment = whole.clone();
        change(&mut segment);
        map(&[segment], 0).stranded
    };
    assert_eq!(of(|_| {}), 19 * MIB);
    assert_eq!(of(|s| s.extents[0].private = true), 0);
    assert_eq!(of(|s| s.kind = Kind::Pool), 0);
    assert_eq!(of(|s| s.kind = Kind::Imported), 0);
    assert_eq!(of(|s| s.holds_blocks = false), 0);
}

/// Sixteen extents of 500 MiB with 2 MiB live in each, born at `birth`.
fn pinned(birth: u64) -> Vec<Segment> {
    (0..16).map(|n| segment(n * GIB, &[500 * MIB], &[block(n * GIB, 2 * MIB, birth)])).collect()
}

const RESERVED: u64 = 16 * 500 * MIB;

#[test]
fn what_outlived_requests_and_was_idle_at_their_peak_is_a_finding() {
    let rest = Rest { time: 10, peak: 600 * MIB };
    let Verdict::Stranded(finding) = check(&pinned(10), RESERVED, 80 * GIB, Some(rest)) else {
        panic!("no finding")
    };
    assert_eq!((finding.bytes, finding.limit), (16 * 498 * MIB, 4 * GIB));
    assert_eq!(finding.idle_at_peak, RESERVED - 600 * MIB);
}

#[test]
fn what_is_used_at_the_peak_or_lies_beside_a_request_or_is_little_is_none() {
    let rest = Rest { time: 10, peak: 600 * MIB };
    let silent = |segments: &[Segment], total, rest| {
        assert_eq!(check(segments, RESERVED, total, Some(rest)), Verdict::Fine);
    };
    // Each step fills it: what the weights leave free is not idle.
    silent(&pinned(10), 80 * GIB, Rest { peak: RESERVED - 100 * MIB, ..rest });
    // A request is under way, and its blocks are younger than the last rest.
    silent(&pinned(11), 80 * GIB, rest);
    silent(&pinned(10), 200 * GIB, rest);
    silent(&pinned(10)[..2], GIB, rest);
    assert_eq!(check(&pinned(10), RESERVED, 80 * GIB, None), Verdict::NotEnough);
}

#[test]
fn the_list_is_short_but_never_empty() {
    let pin = |site: u32, size, stranded| Pin {
        block: Block { site: Site { native: 0, python: site }, ..block(0, size, 0) },
        stranded,
    };
    // Too little, too full, and what is worth a line.
    let pins = [
        pin(1, 512, 2 * MIB),
        pin(2, 100 * MIB, 200 * MIB),
        pin(3, 10 * MIB, 100 * MIB),
        pin(3, 10 * MIB, 100 * MIB),
    ];
    let sites = |pins: &[Pin]| -> Vec<u32> {
        holders(pins).iter().map(|holder| holder.site.python).collect()
    };
    assert_eq!(sites(&pins), [3]);
    assert_eq!(sites(&pins[..2]), [2]);
    assert!(sites(&[]).is_empty());
}

/// Units in a painted map.
const UNITS: u64 = 64;

/// Segments side by side or apart, in extents, and blocks over them that never overlap; some in the
/// holes between.
fn maps() -> impl Strategy<Value = (Vec<Vec<u64>>, Vec<Block>)> {
    let extents = vec(vec(1..6_u64, 1..4), 1..6);
    let blocks = vec((0..UNITS, 1..8_u64, 0..4_u64), 0..12).prop_map(|drawn| {
        let mut taken = [false; 2 * UNITS as usize];
        let mut blocks = Vec::new();
        for (at, size, birth) in drawn {
            let range = at as usize..(at + size) as usize;
            if !taken[range.clone()].contains(&true) {
                taken[range].fill(true);
                blocks.push(block(at, size, birth));
            }
        }
        blocks
    });
    (extents, blocks)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sums_and_pins_are_those_of_a_painted_map((extents, blocks) in maps(), rest in 0..4_u64) {
        let mut segments = Vec::new();
        let mut at = 0;
        for sizes in &extents {
            let end = at + sizes.iter().sum::<u64>();
            let within: Vec<Block> = blocks.iter().copied().filter(|b| b.address >= at && b.address + b.size <= end).collect();
            segments.push(segment(at, sizes, &within));
            at = end + 2;
        }
        let blocks: Vec<Block> = segments.iter().flat_map(|s| s.blocks.iter().copied()).collect();
        let paint = |unit: u64| blocks.iter().position(|b| (b.address..b.address + b.size).contains(&unit));
        let (mut stranded, mut settled, mut shared) = (0, 0, (0, 0));
        let mut pinned = std::collections::BTreeMap::<u64, u64>::new();
        for extent in segments.iter().flat_map(|s| &s.extents) {
            let painted: Vec<Option<usize>> = (extent.start..extent.start + extent.size).map(paint).collect();
            let free = painted.iter().filter(|p| p.is_none()).count() as u64;
            let over: std::collections::BTreeSet<usize> = painted.into_iter().flatten().collect();
            if over.is_empty() || free == 0 {
                continue;
            }
            stranded += free;
            if over.iter().all(|b| blocks[*b].birth <= rest) {
                settled += free;
            }
            match over.len() {
                1 => *pinned.entry(blocks[*over.first().unwrap()].address).or_default() += free,
                _ => shared = (shared.0 + free, shared.1 + 1),
            }
        }
        let map = map(&segments, rest);
        prop_assert_eq!((map.stranded, map.settled, map.shared), (stranded, settled, shared));
        let found: std::collections::BTreeMap<u64, u64> =
            map.pins.iter().map(|pin| (pin.block.address, pin.stranded)).collect();
        prop_assert_eq!(found, pinned);
        prop_assert_eq!(
            map.stranded,
            map.shared.0 + map.pins.iter().map(|pin| pin.stranded).sum::<u64>()
        );
    }
}
