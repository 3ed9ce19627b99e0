//! Stream-ordered pools, and what lies in them.

use std::collections::BTreeMap;

use super::{
    Device, Site,
    book::Books,
    piece::Piece,
    range::{Born, Ranges, Span},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pool {
    pub device: Device,
    pub site: Site,
    pub birth: u64,
    /// Bytes it held at the last reading.
    pub reserve: u64,
    /// The program destroyed it; it goes with the last of its blocks.
    pub destroyed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PoolBlock {
    /// The pool it lies in, where known.
    pub pool: Option<u64>,
    pub device: Device,
    pub site: Site,
    pub birth: u64,
}

impl Born for PoolBlock {
    fn birth(&self) -> u64 {
        self.birth
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Pools {
    pools: BTreeMap<u64, Pool>,
    blocks: Ranges<PoolBlock>,
}

impl Pools {
    pub fn pools(&self) -> &BTreeMap<u64, Pool> {
        &self.pools
    }

    pub fn blocks(&self) -> &Ranges<PoolBlock> {
        &self.blocks
    }

    /// A pool that came to be, or one that is seen again.
    pub fn create(&mut self, handle: u64, pool: Pool, books: &mut Books) {
        if self.pools.get(&handle).is_some_and(|known| known.birth >= pool.birth) {
            return;
        }
        let before = self.pools.insert(handle, pool);
        if let Some(before) = before {
            books.resize_pool(before.device, before.reserve, 0);
        }
        books.resize_pool(pool.device, 0, pool.reserve);
    }

    /// A reading of a pool's reserve; `unknown` describes the pool should nobody know it.
    pub fn read(&mut self, handle: u64, reserve: u64, unknown: Pool, books: &mut Books) {
        let pool = self.pools.entry(handle).or_insert(unknown);
        books.resize_pool(pool.device, pool.reserve, reserve);
        pool.reserve = reserve;
    }

    pub fn destroy(&mut self, handle: u64, books: &mut Books) -> Vec<Piece> {
        let Some(pool) = self.pools.get_mut(&handle) else { return Vec::new() };
        let before = *pool;
        pool.destroyed = true;
        self.sweep(handle, books);
        vec![Piece::Pool(handle, before)]
    }

    /// Takes out a destroyed pool in which nothing lies any more.
    fn sweep(&mut self, handle: u64, books: &mut Books) {
        let Some(pool) = self.pools.get(&handle) else { return };
        if pool.destroyed && !self.blocks.iter().any(|block| block.value.pool == Some(handle)) {
            books.resize_pool(pool.device, pool.reserve, 0);
            self.pools.remove(&handle);
        }
    }

    pub fn take(&mut self, start: u64, size: u64, block: PoolBlock, books: &mut Books) {
        if self.blocks.is_past(start, size, block.birth) {
            return;
        }
        for gone in self.blocks.insert(start, size, block) {
            self.died(&gone, books);
        }
        books.block_born(block.device, block.site, size, true);
    }

    pub fn give_back(&mut self, start: u64, time: u64, books: &mut Books) -> Vec<Piece> {
        let gone = self.blocks.remove_if(start, |block| block.birth <= time);
        let Some(gone) = gone else { return Vec::new() };
        self.died(&gone, books);
        vec![Piece::PoolBlock(gone)]
    }

    /// The primary context of a device ended, and all that lay in pools with it.
    pub fn reset(&mut self, device: Device, books: &mut Books) {
        let inside = self.blocks.iter().filter(|block| block.value.device == device);
        let inside: Vec<u64> = inside.map(|block| block.start).collect();
        for start in inside {
            self.give_back(start, u64::MAX, books);
        }
        for pool in self.pools.values_mut().filter(|pool| pool.device == device) {
            books.resize_pool(device, pool.reserve, 0);
            pool.reserve = 0;
        }
    }

    fn died(&mut self, gone: &Span<PoolBlock>, books: &mut Books) {
        books.block_died(gone.value.device, gone.value.site, gone.size, true);
        if let Some(pool) = gone.value.pool {
            self.sweep(pool, books);
        }
    }

    /// Puts back what a free that failed had taken out.
    pub fn put_back(&mut self, piece: &Piece, books: &mut Books) {
        match piece {
            Piece::PoolBlock(span) => self.take(span.start, span.size, span.value, books),
            Piece::Pool(handle, pool) => {
                let known = self.pools.insert(*handle, *pool);
                if known.is_none() {
                    books.resize_pool(pool.device, 0, pool.reserve);
                }
            }
            _ => {}
        }
    }
}
