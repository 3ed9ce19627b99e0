//! Segments: what a person sees of the memory a process holds.

use super::{Device, Site};

/// What kind of memory it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// `cuMemAlloc` and its like.
    Linear,
    /// `cuMemCreate`.
    Vmm,
    /// The reserve of a stream-ordered pool.
    Pool,
    /// An array or mipmapped array.
    Array,
    /// Memory of graph allocation nodes.
    Graph,
    /// Managed; beside the reserved, since it may exceed the card.
    Managed,
    /// Another process's memory; beside the reserved.
    Imported,
    /// Pinned host memory; beside the reserved, and no segment.
    Host,
}

impl Kind {
    /// Whether its bytes count as reserved.
    #[must_use]
    pub const fn reserved(self) -> bool {
        matches!(self, Self::Linear | Self::Vmm | Self::Pool | Self::Array | Self::Graph)
    }
}

/// A piece of a segment that a framework's allocator, or a pool, handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// First byte.
    pub address: u64,
    /// Bytes.
    pub size: u64,
    /// Who asked for it.
    pub site: Site,
    /// When, ns of `CLOCK_MONOTONIC`, to the microsecond.
    pub birth: u64,
}

impl Block {
    /// Whether a byte of it lies in `start..start + size`.
    #[must_use]
    pub const fn touches(&self, start: u64, size: u64) -> bool {
        self.address < start.saturating_add(size) && start < self.address.saturating_add(self.size)
    }
}

/// The unit the driver gives and takes back, as it lies in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// First byte.
    pub start: u64,
    /// Bytes of addresses.
    pub size: u64,
    /// Bytes of memory behind them, counted once: of a handle that is mapped in two places, only
    /// the lower mapping has any.
    pub physical: u64,
    /// Bytes of live blocks over it.
    pub live: u64,
    /// Taken while a stream capture was under way: of a graph's pool.
    pub private: bool,
    /// Who took it.
    pub site: Site,
    /// When, ns of `CLOCK_MONOTONIC`.
    pub birth: u64,
}

impl Extent {
    /// Bytes of memory with a live block over them.
    #[must_use]
    pub fn backed(&self) -> u64 {
        self.live.min(self.physical)
    }

    /// What becomes of the memory no live block lies over.
    #[must_use]
    pub fn free(&self) -> Free {
        let free = self.physical - self.backed();
        let mut of = Free::default();
        *match (self.live, self.private) {
            (1.., _) => &mut of.stranded,
            (0, true) => &mut of.private,
            (0, false) => &mut of.releasable,
        } = free;
        of
    }
}

/// Memory without a live block over it, by what keeps it. Bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Free {
    /// In extents that hold a live block byte.
    pub stranded: u64,
    /// Whole extents: what `empty_cache()` would give back.
    pub releasable: u64,
    /// Whole extents of a graph capture's pool.
    pub private: u64,
}

impl std::ops::AddAssign for Free {
    fn add_assign(&mut self, other: Self) {
        self.stranded += other.stranded;
        self.releasable += other.releasable;
        self.private += other.private;
    }
}

/// A linear extent; a contiguous run of mappings inside one reservation; or a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// What kind of memory.
    pub kind: Kind,
    /// Where it is.
    pub device: Device,
    /// First byte; the handle of a pool, of an array, and of physical memory nobody mapped.
    pub start: u64,
    /// Bytes.
    pub size: u64,
    /// False for physical memory that is held and mapped nowhere.
    pub mapped: bool,
    /// Who took its oldest extent.
    pub site: Site,
    /// When, ns of `CLOCK_MONOTONIC`, to the microsecond.
    pub birth: u64,
    /// The reservation around it: start and bytes.
    pub reservation: Option<(u64, u64)>,
    /// Its extents by address.
    pub extents: Vec<Extent>,
    /// The live blocks that begin in it, or lie in no other segment before it.
    pub blocks: Vec<Block>,
    /// Whether a block of PyTorch's ever lay in it.
    pub holds_blocks: bool,
}

impl Segment {
    /// Bytes of memory it stands for.
    #[must_use]
    pub fn physical(&self) -> u64 {
        self.extents.iter().map(|extent| extent.physical).sum()
    }

    /// Bytes of memory with a live block over them.
    #[must_use]
    pub fn backed(&self) -> u64 {
        self.extents.iter().map(Extent::backed).sum()
    }

    /// What becomes of the rest, taken that all blocks in it are known. Of direct memory they are
    /// not: [`super::Owned`] tells the two apart.
    #[must_use]
    pub fn free(&self) -> Free {
        let mut sum = Free::default();
        self.extents.iter().for_each(|extent| sum += extent.free());
        sum
    }

    /// Bytes of a block of it that lie in extents of graphs' pools.
    #[must_use]
    pub fn private_bytes(&self, block: &Block) -> u64 {
        self.under(block).filter(|(extent, _)| extent.private).map(|(_, bytes)| bytes).sum()
    }

    /// Bytes of a block of it that have memory of it behind them. Of a pool's blocks nobody knows where
    /// they lie: they have.
    #[must_use]
    pub fn backed_bytes(&self, block: &Block) -> u64 {
        match self.kind {
            Kind::Pool => block.size,
            _ => self.under(block).map(|(extent, bytes)| bytes.min(extent.physical)).sum(),
        }
    }

    /// The extents under a block of it, each with the bytes that both have.
    fn under(&self, block: &Block) -> impl Iterator<Item = (&Extent, u64)> {
        let (begin, end) = (block.address, block.address.saturating_add(block.size));
        let ends = |extent: &Extent| extent.start.saturating_add(extent.size);
        let first = self.extents.partition_point(|extent| ends(extent) <= begin);
        let under = self.extents[first..].iter().take_while(move |extent| extent.start < end);
        under.map(move |extent| (extent, end.min(ends(extent)) - begin.max(extent.start)))
    }

    /// The blocks that keep stranded memory from going back.
    pub fn pins(&self) -> impl Iterator<Item = &Block> {
        let pool = self.kind == Kind::Pool;
        self.blocks.iter().filter(move |block| {
            self.extents.iter().any(|extent| {
                extent.free().stranded > 0 && (pool || block.touches(extent.start, extent.size))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_block_over_extents_of_both_kinds_the_private_bytes_are_those_over_private_ones() {
        let extent = |start, private| {
            let site = Site::default();
            Extent { start, size: 100, physical: 100, live: 0, private, site, birth: 0 }
        };
        let mut segment = Segment {
            kind: Kind::Vmm,
            device: 0,
            start: 0,
            size: 400,
            mapped: true,
            site: Site::default(),
            birth: 0,
            reservation: None,
            extents: vec![
                extent(0, true),
                extent(100, false),
                extent(200, true),
                extent(300, true),
            ],
            blocks: Vec::new(),
            holds_blocks: true,
        };
        let block = |address, size| Block { address, size, site: Site::default(), birth: 0 };
        for (address, size, private) in
            [(0, 100, 100), (50, 200, 100), (110, 20, 0), (150, 250, 200), (350, 100, 50)]
        {
            assert_eq!(segment.private_bytes(&block(address, size)), private, "{address} {size}");
        }
        // The second half of the third extent is another mapping's.
        segment.extents[2].physical = 50;
        assert_eq!(segment.backed_bytes(&block(50, 300)), 50 + 100 + 50 + 50);
        assert_eq!(segment.backed_bytes(&block(390, 50)), 10);
        segment.extents.clear();
        assert_eq!(segment.private_bytes(&block(0, u64::MAX)), 0);
    }
}
