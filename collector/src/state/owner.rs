//! Sums per allocator: who holds what, and what of it is free.

use std::collections::BTreeMap;

use super::{Block, Device, Free, Kind, Segment, Site, State};

/// How PyTorch's allocator gets its memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// Linear segments.
    Native,
    /// `expandable_segments:True`.
    Expandable,
    /// `backend:cudaMallocAsync`.
    Async,
}

/// What one owner holds on one device. Bytes; always
/// `reserved - allocated + unbacked = stranded + releasable + private`, with `allocated` read as
/// `reserved` where it is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Allocator {
    /// Physical bytes.
    pub reserved: u64,
    /// Bytes in live blocks; `None` where nothing reports blocks.
    pub allocated: Option<u64>,
    /// Live block bytes with no physical memory behind them.
    pub unbacked: u64,
    /// What becomes of the rest.
    pub free: Free,
    /// How it gets its memory, where that can be seen.
    pub backend: Option<Backend>,
}

/// The memory of one device, by owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owned<N> {
    /// Every segment with its owner and what of it is free (nothing, where it is direct memory).
    pub segments: Vec<(N, Segment, Free)>,
    /// Live blocks that touch no segment, with their owner: all of them unbacked.
    pub adrift: Vec<(N, Block)>,
    /// Sums by owner.
    pub allocators: BTreeMap<N, Allocator>,
}

/// What is added up of one owner.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    reserved: u64,
    /// Bytes in known blocks.
    lent: u64,
    /// Those with memory behind them.
    backed: u64,
    /// Bytes of memory whose blocks are not known.
    direct: u64,
    free: Free,
    /// Whether some blocks are known.
    known: bool,
    native: bool,
    expandable: bool,
    pool: bool,
}

impl Sum {
    fn segment(&mut self, segment: &Segment, known: bool) {
        let physical = segment.physical();
        self.reserved += physical;
        if !known {
            self.direct += physical;
            return;
        }
        self.known = true;
        self.backed += segment.backed();
        self.free += segment.free();
        self.pool |= segment.kind == Kind::Pool;
        self.native |= segment.kind != Kind::Pool;
        // An expandable segment reserves more addresses than it will ever map. Memory that others
        // map for PyTorch (cuMem allocators of sleep modes) fills its reservation.
        self.expandable |=
            segment.mapped && segment.reservation.is_some_and(|(_, size)| size > segment.size);
    }

    fn lend(&mut self, bytes: u64) {
        self.known = true;
        self.lent = self.lent.saturating_add(bytes);
    }

    fn close(self, torch: bool) -> Allocator {
        let backend = match self {
            Self { expandable: true, .. } => Some(Backend::Expandable),
            Self { native: true, .. } => Some(Backend::Native),
            Self { pool: true, .. } => Some(Backend::Async),
            _ => None,
        };
        Allocator {
            reserved: self.reserved,
            allocated: self.known.then_some(self.lent.saturating_add(self.direct)),
            unbacked: self.lent - self.backed,
            free: self.free,
            backend: backend.filter(|_| torch),
        }
    }
}

impl State {
    /// The memory of a device by owner: `torch` for segments in which a block of PyTorch's ever
    /// lay, else what `owner` makes of the stacks that took them (`torch` as well, where they pass
    /// through PyTorch's allocator).
    ///
    /// Memory of an owner whose blocks are not known is direct: one live block of its own size.
    pub fn owned<N: Ord + Clone>(
        &self,
        device: Device,
        torch: &N,
        owner: impl Fn(Site) -> N,
    ) -> Owned<N> {
        let map = self.map(device);
        let mut sums: BTreeMap<N, Sum> = BTreeMap::new();
        let adrift = map.adrift.into_iter().map(|block| (torch.clone(), block));
        let of_pools = map.adrift_of_pools.into_iter().map(|block| (owner(block.site), block));
        let adrift: Vec<(N, Block)> = adrift.chain(of_pools).collect();
        for (name, block) in &adrift {
            sums.entry(name.clone()).or_default().lend(block.size);
        }
        let reports = map.segments.iter().any(|segment| segment.holds_blocks)
            || self.totals(device).allocated > 0;
        let mut segments = Vec::with_capacity(map.segments.len());
        for segment in map.segments {
            let name = if segment.holds_blocks { torch.clone() } else { owner(segment.site) };
            let pool = segment.kind == Kind::Pool;
            let known = segment.holds_blocks || pool || reports && name == *torch;
            // Blocks of PyTorch's are its own wherever they lie.
            let lender = if pool { &name } else { torch };
            for block in &segment.blocks {
                sums.entry(lender.clone()).or_default().lend(block.size);
            }
            if segment.kind.reserved() {
                sums.entry(name.clone()).or_default().segment(&segment, known);
            }
            let free = if known { segment.free() } else { Free::default() };
            segments.push((name, segment, free));
        }
        let close = |(name, sum): (N, Sum)| {
            let allocator = sum.close(name == *torch);
            (name, allocator)
        };
        Owned { segments, adrift, allocators: sums.into_iter().map(close).collect() }
    }
}
