//! The live blocks of a process, whoever handed them out.

use super::{Device, Site, State, unit::Standing};

/// A block that an allocator handed out; or direct memory, which is one live block of its own size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveBlock {
    /// Where.
    pub device: Device,
    /// First byte, or the handle of memory without an address. Together with its birth it tells a
    /// block from all others.
    pub address: u64,
    /// Its size.
    pub bytes: u64,
    /// Who took it.
    pub site: Site,
    /// When, `CLOCK_MONOTONIC`, ns.
    pub birth: u64,
}

impl State {
    /// All that is live on any device, in no order. Memory beside the reserved (pinned host memory,
    /// managed memory, what other processes lent) is not among it.
    pub fn live_blocks(&self) -> impl Iterator<Item = LiveBlock> {
        let blocks = self.blocks.iter().map(|block| LiveBlock {
            device: block.value.device,
            address: block.start,
            bytes: block.size,
            site: block.value.site,
            birth: block.value.birth,
        });
        let pooled = self.pools.blocks().iter().map(|block| LiveBlock {
            device: block.value.device,
            address: block.start,
            bytes: block.size,
            site: block.value.site,
            birth: block.value.birth,
        });
        let spans = self.spans.iter().map(|span| (span.start, span.value));
        let handles = self.vmm.handles().values().map(|handle| (handle.name, handle.unit));
        let things = self.things.iter().map(|((_, handle), unit)| (*handle, *unit));
        let units = spans.chain(handles).chain(things);
        let direct = units
            .filter(|(_, unit)| !matches!(unit.standing, Standing::Beside | Standing::Allocator));
        let direct = direct.map(|(address, unit)| LiveBlock {
            device: unit.device,
            address,
            bytes: unit.size,
            site: unit.site,
            birth: unit.birth,
        });
        blocks.chain(pooled).chain(direct)
    }
}
