//! Segments, put together from the state when somebody asks.

use std::collections::{BTreeMap, HashMap};

use super::{
    Block, Device, Extent, Kind, Segment, State,
    range::Span,
    unit::{Standing, Unit},
    vmm::{HandleId, Mapping},
};

/// The segments of one device, and the live blocks that touch none.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) struct Map {
    pub segments: Vec<Segment>,
    /// Blocks of PyTorch's.
    pub adrift: Vec<Block>,
    /// Blocks of pools nobody knows.
    pub adrift_of_pools: Vec<Block>,
}

impl State {
    /// What a person sees of the memory of a device: by address, then what has none.
    #[must_use]
    pub fn segments(&self, device: Device) -> Vec<Segment> {
        self.map(device).segments
    }

    pub(super) fn map(&self, device: Device) -> Map {
        let (mut segments, unmapped) = self.mapped_segments(device);
        let spans = self.spans.iter().filter(|span| span.value.device == device);
        segments.extend(spans.map(|span| whole(span.start, &span.value)));
        segments.sort_by_key(|segment| segment.start);
        let mut adrift = Vec::new();
        for block in self.blocks.iter().filter(|block| block.value.device == device) {
            let block = Block {
                address: block.start,
                size: block.size,
                site: block.value.site,
                birth: block.value.birth,
            };
            if !place(&mut segments, block) {
                adrift.push(block);
            }
        }
        segments.extend(unmapped);
        let things = self.things.iter().filter(|(_, unit)| unit.device == device);
        // Arrays whose memory is mapped later have none of their own.
        let things = things.filter(|(_, unit)| unit.kind() != Kind::Host && unit.size > 0);
        segments.extend(things.map(|((_, handle), unit)| whole(*handle, unit)));
        let adrift_of_pools = self.pool_segments(device, &mut segments);
        Map { segments, adrift, adrift_of_pools }
    }

    /// Runs of mappings, and what of the handles is mapped nowhere.
    fn mapped_segments(&self, device: Device) -> (Vec<Segment>, Vec<Segment>) {
        let mut runs: Vec<Segment> = Vec::new();
        // Bytes of a handle that no mapping seen so far stands for.
        let mut rest: HashMap<HandleId, u64> = HashMap::new();
        for span in self.vmm.mappings().iter() {
            let Some(handle) = self.vmm.handles().get(&span.value.handle) else { continue };
            if handle.unit.device != device {
                continue;
            }
            let rest = rest.entry(span.value.handle).or_insert(physical(&handle.unit));
            let extent = Extent {
                start: span.start,
                size: span.size,
                physical: span.size.min(*rest),
                live: 0,
                private: handle.unit.private,
                site: handle.unit.site,
                birth: handle.unit.birth,
            };
            *rest -= extent.physical;
            let piece = self.run_of_one(span, &handle.unit, extent);
            match runs.last_mut() {
                Some(run) if continues(run, &piece) => join(run, piece),
                _ => runs.push(piece),
            }
        }
        let handles = self.vmm.handles().iter().filter(|(_, handle)| handle.unit.device == device);
        let unmapped = handles.filter_map(|(id, handle)| {
            let bytes = rest.get(id).copied().unwrap_or(handle.unit.size);
            let left = Unit { size: bytes, ..handle.unit };
            let held = bytes > 0 && (handle.mappings == 0 || handle.unit.kind().reserved());
            held.then(|| Segment { mapped: false, ..whole(handle.name, &left) })
        });
        (runs, unmapped.collect())
    }

    fn run_of_one(&self, span: &Span<Mapping>, unit: &Unit, extent: Extent) -> Segment {
        let around = self.vmm.reservations().at(span.start);
        let holds_blocks = unit.standing == Standing::Allocator
            || around.is_some_and(|around| around.value.holds_blocks);
        Segment {
            size: span.size,
            reservation: around.map(|around| (around.start, around.size)),
            extents: vec![extent],
            holds_blocks,
            ..whole(span.start, unit)
        }
    }

    /// Adds the pools of a device; returns the blocks that lie in none.
    fn pool_segments(&self, device: Device, segments: &mut Vec<Segment>) -> Vec<Block> {
        let mut inside: BTreeMap<Option<u64>, Vec<Block>> = BTreeMap::new();
        for block in self.pools.blocks().iter().filter(|block| block.value.device == device) {
            let known = block.value.pool.filter(|pool| {
                self.pools.pools().get(pool).is_some_and(|pool| pool.device == device)
            });
            inside.entry(known).or_default().push(Block {
                address: block.start,
                size: block.size,
                site: block.value.site,
                birth: block.value.birth,
            });
        }
        for (handle, pool) in self.pools.pools().iter().filter(|(_, pool)| pool.device == device) {
            let blocks = inside.remove(&Some(*handle)).unwrap_or_default();
            let live = blocks.iter().map(|block| block.size).sum();
            let reserve = pool.reserve;
            // A pool that was only asked for.
            if reserve == 0 && blocks.is_empty() {
                continue;
            }
            segments.push(Segment {
                kind: Kind::Pool,
                device,
                start: *handle,
                size: reserve,
                mapped: true,
                site: pool.site,
                birth: pool.birth,
                reservation: None,
                extents: vec![Extent {
                    start: *handle,
                    size: reserve,
                    physical: reserve,
                    live,
                    private: false,
                    site: pool.site,
                    birth: pool.birth,
                }],
                blocks,
                holds_blocks: false,
            });
        }
        inside.remove(&None).unwrap_or_default()
    }
}

/// Bytes of a unit that count as reserved.
fn physical(unit: &Unit) -> u64 {
    if unit.kind().reserved() { unit.size } else { 0 }
}

/// A unit that is a segment by itself.
fn whole(start: u64, unit: &Unit) -> Segment {
    let private = unit.private;
    Segment {
        kind: unit.kind(),
        device: unit.device,
        start,
        size: unit.size,
        mapped: true,
        site: unit.site,
        birth: unit.birth,
        reservation: None,
        extents: vec![Extent {
            start,
            size: unit.size,
            physical: physical(unit),
            live: 0,
            private,
            site: unit.site,
            birth: unit.birth,
        }],
        blocks: Vec::new(),
        holds_blocks: unit.standing == Standing::Allocator,
    }
}

/// Whether `next` goes on where `run` ends, inside the same reservation. Mappings outside any known
/// reservation join too: which reservation they lie in was lost, not that they lie in one.
fn continues(run: &Segment, next: &Segment) -> bool {
    run.start.saturating_add(run.size) == next.start
        && run.reservation == next.reservation
        && run.kind == next.kind
}

fn join(run: &mut Segment, next: Segment) {
    if next.birth < run.birth {
        (run.birth, run.site) = (next.birth, next.site);
    }
    run.size += next.size;
    run.extents.extend(next.extents);
    run.holds_blocks |= next.holds_blocks;
}

/// Lays a block over the segments it touches; false if there is none. `segments` are in order.
/// Should they overlap, which only a damaged ring can say, a byte of the block counts once.
fn place(segments: &mut [Segment], block: Block) -> bool {
    let end = block.address.saturating_add(block.size);
    let mut covered = block.address;
    let first = segments.partition_point(|segment| ends(segment.start, segment.size) <= covered);
    let mut placed = false;
    for segment in segments.iter_mut().skip(first).take_while(|segment| segment.start < end) {
        let extents = &mut segment.extents;
        let under = extents.partition_point(|extent| ends(extent.start, extent.size) <= covered);
        for extent in extents.iter_mut().skip(under).take_while(|extent| extent.start < end) {
            let from = extent.start.max(covered);
            covered = end.min(ends(extent.start, extent.size)).max(from);
            extent.live += covered - from;
        }
        if !placed {
            segment.blocks.push(block);
            placed = true;
        }
    }
    placed
}

fn ends(start: u64, size: u64) -> u64 {
    start.saturating_add(size)
}
