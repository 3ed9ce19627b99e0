//! What happened to one device's blocks since each open phase began.
//!
//! Time is cut where a phase begins. Events change only the last piece, so they cost the same
//! however many phases are open; a phase's figures are put together from its pieces when it ends,
//! and then its first piece becomes part of the one before.
//!
//! What was live at a phase's peak is not kept either: it is what is live now, less what has changed
//! since, which each piece knows of itself.

use std::collections::{BTreeMap, HashMap};

use wire::record::Record;

use crate::state::{Site, Use};

#[derive(Clone, Copy, Debug, Default)]
struct Delta {
    bytes: i64,
    blocks: i64,
}

type Deltas = HashMap<Site, Delta>;

fn change(deltas: &mut Deltas, site: Site, by: Delta) {
    let delta = deltas.entry(site).or_default();
    // Wrapping: a damaged ring must not stop the reader, and undoing wraps back.
    delta.bytes = delta.bytes.wrapping_add(by.bytes);
    delta.blocks = delta.blocks.wrapping_add(by.blocks);
    if (delta.bytes, delta.blocks) == (0, 0) {
        deltas.remove(&site);
    }
}

fn add(deltas: &mut Deltas, more: &Deltas) {
    more.iter().for_each(|(site, by)| change(deltas, *site, *by));
}

#[derive(Clone, Copy, Debug)]
struct Block {
    stretch: u64,
    site: Site,
    size: u64,
}

/// The time from one phase's begin to the next one's, or to now.
#[derive(Clone, Debug, Default)]
struct Piece {
    stretch: u64,
    allocated: u64,
    reserved: u64,
    /// When `allocated` was reached.
    time: u64,
    /// Changes after that moment.
    since_peak: Deltas,
    /// All changes.
    whole: Deltas,
    /// Blocks taken in it that are still live.
    young: Deltas,
}

impl Piece {
    /// Takes the piece after it in.
    fn join(&mut self, next: Self) {
        if next.allocated > self.allocated {
            (self.allocated, self.time, self.since_peak) =
                (next.allocated, next.time, next.since_peak);
        } else {
            add(&mut self.since_peak, &next.whole);
        }
        self.reserved = self.reserved.max(next.reserved);
        add(&mut self.whole, &next.whole);
        add(&mut self.young, &next.young);
    }
}

/// The blocks of a device, and the pieces of time.
#[derive(Clone, Debug, Default)]
pub(super) struct Course {
    blocks: HashMap<u64, Block>,
    live: HashMap<Site, Use>,
    allocated: u64,
    reserved: u64,
    time: u64,
    pieces: Vec<Piece>,
}

impl Course {
    /// A device that is seen first in `stretch`, which counts as begun with nothing held.
    pub fn new(stretch: u64) -> Self {
        let piece = Piece { stretch, ..Piece::default() };
        Self { pieces: vec![piece], ..Self::default() }
    }

    /// A block that was there before.
    pub fn held(&mut self, address: u64, size: u64, site: Site) {
        self.died(address);
        self.take(address, Block { stretch: 0, site, size });
        self.forget();
    }

    pub fn born(&mut self, stretch: u64, record: &Record) {
        let site = Site { native: record.native, python: record.python };
        self.died(record.address);
        let size = record.size;
        self.take(record.address, Block { stretch, site, size });
        let born = Delta { bytes: size.cast_signed(), blocks: 1 };
        self.change(site, born);
        if let Some(last) = self.pieces.last_mut() {
            change(&mut last.young, site, born);
        }
    }

    pub fn died(&mut self, address: u64) {
        let Some(Block { stretch, site, size }) = self.blocks.remove(&address) else { return };
        self.allocated = self.allocated.wrapping_sub(size);
        if let Some(used) = self.live.get_mut(&site) {
            used.bytes = used.bytes.wrapping_sub(size);
            used.blocks -= 1;
            if used.blocks == 0 {
                self.live.remove(&site);
            }
        }
        let died = Delta { bytes: size.cast_signed().wrapping_neg(), blocks: -1 };
        self.change(site, died);
        let after = self.pieces.partition_point(|piece| piece.stretch <= stretch);
        // Stretch 0 is before the first begin.
        if let Some(at) = after.checked_sub(1).filter(|_| stretch > 0) {
            change(&mut self.pieces[at].young, site, died);
        }
    }

    fn take(&mut self, address: u64, block: Block) {
        self.allocated = self.allocated.wrapping_add(block.size);
        let used = self.live.entry(block.site).or_default();
        used.bytes = used.bytes.wrapping_add(block.size);
        used.blocks += 1;
        self.blocks.insert(address, block);
    }

    fn change(&mut self, site: Site, by: Delta) {
        if let Some(last) = self.pieces.last_mut() {
            change(&mut last.whole, site, by);
            change(&mut last.since_peak, site, by);
        }
    }

    /// The end of an event.
    pub fn settle(&mut self, reserved: u64, time: u64) {
        (self.reserved, self.time) = (reserved, time);
        let allocated = self.allocated;
        if let Some(last) = self.pieces.last_mut() {
            last.reserved = last.reserved.max(reserved);
            if allocated > last.allocated {
                (last.allocated, last.time) = (allocated, time);
                last.since_peak.clear();
            }
        }
    }

    /// A phase begins.
    pub fn begin(&mut self, stretch: u64) {
        let (allocated, reserved, time) = (self.allocated, self.reserved, self.time);
        self.pieces.push(Piece { stretch, allocated, reserved, time, ..Piece::default() });
    }

    /// The phase that began `stretch` has ended; `is_first` if it was open longest.
    pub fn leave(&mut self, stretch: u64, is_first: bool) {
        let Ok(at) = self.pieces.binary_search_by_key(&stretch, |piece| piece.stretch) else {
            return;
        };
        if is_first {
            // Nobody asks for what was before the phases that are open now.
            self.pieces.drain(..=at);
        } else if let Some(before) = at.checked_sub(1) {
            let piece = self.pieces.remove(at);
            self.pieces[before].join(piece);
        }
    }

    /// No phase is open.
    pub fn forget(&mut self) {
        self.pieces.clear();
    }

    /// What happened since `stretch` began.
    pub fn since(&self, stretch: u64) -> Since<'_> {
        let from = self.pieces.partition_point(|piece| piece.stretch < stretch);
        Since { course: self, pieces: &self.pieces[from..] }
    }
}

/// What happened since a phase began.
#[derive(Clone, Copy, Debug)]
pub(super) struct Since<'a> {
    course: &'a Course,
    pieces: &'a [Piece],
}

impl Since<'_> {
    /// Greatest sum of block bytes, and when it was reached first.
    pub fn allocated(&self) -> (u64, u64) {
        let highest = self.highest().map(|at| &self.pieces[at]);
        highest.map_or((self.course.allocated, self.course.time), |p| (p.allocated, p.time))
    }

    pub fn reserved(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.reserved).max().unwrap_or(self.course.reserved)
    }

    fn highest(&self) -> Option<usize> {
        let highest = self.pieces.iter().map(|piece| piece.allocated).max()?;
        self.pieces.iter().position(|piece| piece.allocated == highest)
    }

    /// What was live at the greatest sum.
    pub fn at_peak(&self) -> BTreeMap<Site, Use> {
        let mut after = Deltas::new();
        if let Some(at) = self.highest() {
            add(&mut after, &self.pieces[at].since_peak);
            self.pieces[at + 1..].iter().for_each(|piece| add(&mut after, &piece.whole));
        }
        let mut then: BTreeMap<Site, Use> =
            self.course.live.iter().map(|(site, used)| (*site, *used)).collect();
        for (site, delta) in after {
            let used = then.entry(site).or_default();
            used.bytes = used.bytes.wrapping_sub(delta.bytes.cast_unsigned());
            used.blocks = used.blocks.wrapping_sub(delta.blocks.cast_unsigned());
            if used.blocks == 0 {
                then.remove(&site);
            }
        }
        then
    }

    /// Blocks taken since then that are still live.
    pub fn survived(&self) -> BTreeMap<Site, Use> {
        let mut young = Deltas::new();
        self.pieces.iter().for_each(|piece| add(&mut young, &piece.young));
        let used = |delta: Delta| Use {
            bytes: delta.bytes.cast_unsigned(),
            blocks: delta.blocks.cast_unsigned(),
        };
        young.into_iter().map(|(site, delta)| (site, used(delta))).collect()
    }
}
