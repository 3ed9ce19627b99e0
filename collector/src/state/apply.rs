//! One event and what it changes.

use wire::record::{Class, FLAG_PRIVATE, Record, Verb};

use super::{
    Fresh, FreshUnit, Lent, Share, Site, State,
    piece::Piece,
    pool::{Pool, PoolBlock},
    unit::{Standing, Unit, has_addresses},
    vmm::Bound,
};
use crate::ledger::Event;

/// PyTorch reports a block within microseconds of taking the memory it lies in; mapping hundreds of
/// handles first can take longer. Memory without a block after this long, ns, is direct.
const FRESH_FOR: u64 = 1_000_000_000;

/// No device has so much memory. A larger size is damage, and is cut so that sums do not overflow.
const MOST: u64 = (1 << 44) - 1;

/// ns, cut to the microsecond the live table knows.
pub(super) fn birth(time: u64) -> u64 {
    time / 1000 * 1000
}

/// Bytes, cut to what can be.
pub(super) fn bytes(size: u64) -> u64 {
    size.min(MOST)
}

impl State {
    /// Advances the state by one event.
    pub fn apply(&mut self, event: &Event) {
        let record = &event.record;
        self.books.grown.clear();
        if (record.verb, record.class) == (Verb::Alloc, Class::Block) {
            // Before the thread counts as gone on: the block tells whose the memory under it is.
            self.promote(record.address, bytes(record.size));
        }
        self.settle_fresh(record);
        self.now = self.now.max(record.time);
        match (record.verb, record.class) {
            (Verb::Alloc, _) => self.taken(record, event.extra.map_or(0, |[offset, ..]| offset)),
            (Verb::FreeBegin, Class::Block) => self.block_back(record),
            (Verb::FreeBegin, _) => {
                let pieces = self.given_back(record);
                pieces.iter().for_each(|piece| self.shares.end(piece, record.time));
                self.ending.begin(record.class, record.address, pieces);
            }
            (Verb::FreeFailed, _) => self.put_back(record.class, record.address),
            (Verb::Reading, Class::Pool) => {
                let pool = Pool { reserve: 0, ..pool_of(record) };
                self.pools.read(record.address, bytes(record.size), pool, &mut self.books);
            }
            (Verb::Export, _) => self.export(record),
            (Verb::Retained, _) => self.vmm.retain(record.address, record.time),
            (Verb::Reading, Class::Graph) => self.graph_reading(record),
            (Verb::Reset, _) => self.reset(record),
            _ => {}
        }
        self.books.settle(record.time);
    }

    fn taken(&mut self, record: &Record, offset: u64) {
        let (start, size) = (record.address, bytes(record.size));
        let site = site_of(record);
        let (device, birth) = (record.device, birth(record.time));
        match record.class {
            Class::Block => self.lend(start, size, Lent { device, site, birth }),
            // Opened once more it is the same memory.
            Class::IpcImport if self.import(record) => {}
            Class::Linear | Class::Managed | Class::IpcImport | Class::ImportedBlock => {
                if record.class == Class::ImportedBlock {
                    self.import(record);
                }
                self.span(start, unit_of(record), record.tid);
            }
            Class::Array | Class::Graph | Class::Host | Class::External => {
                self.thing(start, unit_of(record));
            }
            Class::Handle | Class::ImportedHandle => {
                if record.class == Class::ImportedHandle {
                    self.import(record);
                }
                let unit = unit_of(record);
                let id = self.vmm.create(start, unit, true, &mut self.books);
                self.note_fresh(FreshUnit::Handle(id), record.tid, &unit);
            }
            Class::Mapping => {
                let stand_in =
                    Unit { class: Class::Handle, standing: Standing::Direct, ..unit_of(record) };
                self.vmm.map((start, size), (record.aux, offset), stand_in, &mut self.books);
            }
            Class::Multicast => {
                self.vmm.create(start, without_memory(unit_of(record)), true, &mut self.books);
            }
            Class::Binding => {
                let what = Bound { handle: record.aux, address: offset };
                self.vmm.bind((device, start), size, what, birth, &mut self.books);
            }
            Class::Reservation => self.vmm.reserve(start, record.size, birth),
            Class::Pool => self.pools.create(start, pool_of(record), &mut self.books),
            Class::PoolBlock => {
                let block = PoolBlock { pool: Some(record.aux), device, site, birth };
                self.pools.take(start, size, block, &mut self.books);
            }
            // They show memory that is counted where it was taken, or none of this process's.
            Class::View | Class::ImportedPool | Class::Identity | Class::None => {}
        }
        if matches!(record.class, Class::Linear | Class::Mapping | Class::Reservation) {
            self.adopt(start, size);
        }
        if self.allocator_stacks.contains(&record.native) {
            self.claim();
        }
    }

    /// Tells which native stacks pass through PyTorch's device allocator: what they take is its
    /// own from the first moment, and what they took was. Without it only blocks tell.
    pub fn learn(&mut self, stacks: impl IntoIterator<Item = u32>) {
        self.allocator_stacks.extend(stacks);
        for span in self.spans.values_mut() {
            if self.allocator_stacks.contains(&span.value.site.native) {
                self.books.restand(&mut span.value, Standing::Allocator);
            }
        }
        for unit in self.vmm.units_mut() {
            if self.allocator_stacks.contains(&unit.site.native) {
                self.books.restand(unit, Standing::Allocator);
            }
        }
        self.books.grown.clear();
    }

    /// Memory just taken by one of those stacks is PyTorch's allocator's.
    fn claim(&mut self) {
        let Some(fresh) = self.fresh.pop() else { return };
        let unit = match fresh.of {
            FreshUnit::Span(start) => self.spans.get_mut(start),
            FreshUnit::Handle(id) => self.vmm.unit_mut(id),
        };
        let claimed = |unit: &&mut Unit| self.allocator_stacks.contains(&unit.site.native);
        match unit.filter(|unit| unit.birth == fresh.birth).filter(claimed) {
            Some(unit) => self.books.restand(unit, Standing::Allocator),
            None => self.fresh.push(fresh),
        }
    }

    /// A block that lived on without memory lies in what was taken now.
    fn adopt(&mut self, start: u64, size: u64) {
        let block = self.blocks.over(start, size).next().map(|block| (block.start, block.size));
        if let Some((at, size)) = block {
            self.promote(at.max(start), size);
        }
    }

    /// Adds memory that has addresses of its own.
    pub(super) fn span(&mut self, start: u64, mut unit: Unit, thread: u32) {
        if self.spans.is_past(start, unit.size, unit.birth) {
            return;
        }
        let known = self.spans.at(start).filter(|span| span.start == start);
        if let Some(known) = known.filter(|span| span.value.birth == unit.birth) {
            unit.standing = known.value.standing;
        }
        for gone in self.spans.insert(start, unit.size, unit) {
            self.books.give_back(&gone.value);
            if gone.value.birth != unit.birth {
                self.shares.end(&Piece::Unit(gone.start, gone.value), unit.birth);
            }
        }
        self.books.take(&unit);
        self.note_fresh(FreshUnit::Span(start), thread, &unit);
    }

    /// Adds memory without device addresses.
    pub(super) fn thing(&mut self, handle: u64, unit: Unit) {
        let key = (unit.class, handle);
        if self.things.get(&key).is_some_and(|known| known.birth > unit.birth) {
            return;
        }
        if let Some(gone) = self.things.insert(key, unit) {
            self.books.give_back(&gone);
        }
        self.books.take(&unit);
    }

    /// What the driver said a device keeps for graphs.
    fn graph_reading(&mut self, record: &Record) {
        let size = bytes(record.size);
        let known = self.things.get(&(Class::Graph, record.address)).copied();
        let unit = Unit { size, ..known.unwrap_or(unit_of(record)) };
        self.thing(record.address, Unit { context: 0, ..unit });
    }

    /// Adds a block of PyTorch's.
    pub(super) fn lend(&mut self, start: u64, size: u64, block: Lent) {
        if self.blocks.is_past(start, size, block.birth) {
            return;
        }
        for gone in self.blocks.insert(start, size, block) {
            self.books.block_died(gone.value.device, gone.value.site, gone.size, false);
        }
        self.books.block_born(block.device, block.site, size, false);
    }

    /// The memory under a block of PyTorch's belongs to its allocator.
    pub(super) fn promote(&mut self, start: u64, size: u64) {
        match self.spans.at_mut(start) {
            Some(span) => self.books.restand(&mut span.value, Standing::Allocator),
            None => self.vmm.mark(start, size, &mut self.books),
        }
    }

    fn block_back(&mut self, record: &Record) {
        let meant = |block: &Lent| block.birth <= record.time;
        if let Some(gone) = self.blocks.remove_if(record.address, meant) {
            self.books.block_died(gone.value.device, gone.value.site, gone.size, false);
        }
    }

    /// Takes out what a free means: never anything younger than the free itself, which can only
    /// come from a live set that was read after it.
    fn given_back(&mut self, record: &Record) -> Vec<Piece> {
        let Record { class, address, size, time, .. } = *record;
        if class == Class::IpcImport {
            let opened = birth(time.saturating_sub(record.aux));
            if !self.shares.close(class, address, opened) {
                return Vec::new();
            }
        }
        let books = &mut self.books;
        let unit = match class {
            Class::Linear | Class::Managed | Class::IpcImport | Class::ImportedBlock => {
                let gone = self.spans.remove_if(address, |unit| unit.birth <= time);
                gone.map(|span| span.value)
            }
            Class::Array | Class::Graph | Class::Host | Class::External => {
                let known = self.things.get(&(class, address)).filter(|unit| unit.birth <= time);
                known.is_some().then(|| self.things.remove(&(class, address))).flatten()
            }
            Class::Handle | Class::ImportedHandle | Class::Multicast => {
                return self.vmm.release(address, time, books);
            }
            Class::Binding => {
                self.vmm.unbind((record.device, address), time, books);
                None
            }
            Class::Mapping => return self.vmm.unmap(address, size, time, books),
            Class::Reservation => return self.vmm.unreserve(address, time),
            Class::Pool => return self.pools.destroy(address, books),
            Class::PoolBlock => return self.pools.give_back(address, time, books),
            Class::Block | Class::View | Class::ImportedPool | Class::Identity | Class::None => {
                None
            }
        };
        unit.inspect(|unit| books.give_back(unit))
            .map(|unit| Piece::Unit(address, unit))
            .into_iter()
            .collect()
    }

    fn put_back(&mut self, class: Class, address: u64) {
        if class == Class::IpcImport {
            self.shares.reopen(class, address);
        }
        for piece in self.ending.failed(class, address) {
            self.shares.put_back(&piece);
            match piece {
                Piece::Unit(at, unit) if has_addresses(class) => self.span(at, unit, 0),
                Piece::Unit(at, unit) => self.thing(at, unit),
                Piece::Pool(..) | Piece::PoolBlock(_) => {
                    self.pools.put_back(&piece, &mut self.books)
                }
                _ => self.vmm.put_back(piece, &mut self.books),
            }
        }
    }

    /// A context ended. What lay in it is told apart only as far as records named contexts; the
    /// live table knows exactly, so whoever drains resynchronises after it.
    fn reset(&mut self, record: &Record) {
        let inside = |unit: &Unit| match record.aux {
            0 => unit.device == record.device,
            context => unit.context == context,
        };
        let spans: Vec<u64> =
            self.spans.iter().filter(|span| inside(&span.value)).map(|span| span.start).collect();
        for gone in spans.into_iter().filter_map(|start| self.spans.remove(start)) {
            self.books.give_back(&gone.value);
            self.shares.end(&Piece::Unit(gone.start, gone.value), record.time);
        }
        let books = &mut self.books;
        if record.aux == 0 {
            self.pools.reset(record.device, books);
            let blocks = self.pools.blocks();
            let is_gone = |share: &Share| {
                share.class == Class::PoolBlock && blocks.at(share.address).is_none()
            };
            self.shares.end_where(record.time, is_gone);
        }
        self.things.retain(|_, unit| {
            let ended = inside(unit);
            if ended {
                books.give_back(unit);
            }
            !ended
        });
    }

    fn note_fresh(&mut self, of: FreshUnit, thread: u32, unit: &Unit) {
        if unit.is_fresh() {
            self.fresh.push(Fresh { thread, birth: unit.birth, of });
        }
    }

    /// The thread of `record` went on, or time did: memory it took before is direct, if no block
    /// came to lie in it. Creating and mapping handles is one step of PyTorch's.
    fn settle_fresh(&mut self, record: &Record) {
        if self.fresh.is_empty() {
            return;
        }
        let step = matches!(record.verb, Verb::Alloc | Verb::Failed)
            && matches!(record.class, Class::Handle | Class::Mapping | Class::Reservation);
        let fresh = std::mem::take(&mut self.fresh);
        for one in fresh {
            let old = record.time.saturating_sub(one.birth) > FRESH_FOR;
            if !(old || one.thread == record.tid && !step) {
                self.fresh.push(one);
                continue;
            }
            let unit = match one.of {
                FreshUnit::Span(start) => self.spans.get_mut(start),
                FreshUnit::Handle(id) => self.vmm.unit_mut(id),
            };
            if let Some(unit) = unit.filter(|unit| unit.birth == one.birth && unit.is_fresh()) {
                self.books.restand(unit, Standing::Direct);
            }
        }
        // It was live when the last event happened, and may be gone after this one.
        self.books.settle(self.now);
    }
}

pub(super) fn site_of(record: &Record) -> Site {
    Site { native: record.native, python: record.python }
}

fn unit_of(record: &Record) -> Unit {
    Unit {
        class: record.class,
        device: record.device,
        size: bytes(record.size),
        site: site_of(record),
        birth: birth(record.time),
        private: record.flags & FLAG_PRIVATE != 0,
        context: match record.class {
            Class::Linear | Class::Managed | Class::Array => record.aux,
            _ => 0,
        },
        standing: Standing::at_first(record.class),
    }
}

/// An object that only shows memory: like a handle, but with no bytes and of nobody's blocks.
pub(super) fn without_memory(unit: Unit) -> Unit {
    Unit { class: Class::Handle, size: 0, standing: Standing::Beside, ..unit }
}

fn pool_of(record: &Record) -> Pool {
    Pool {
        device: record.device,
        site: site_of(record),
        birth: birth(record.time),
        reserve: bytes(record.size),
        destroyed: false,
    }
}
