//! Marks that the program sets in its own time, and their names.
//!
//! A name is kept once, in the table of code objects. Names may fill a part of that table only: a
//! program that makes up a new one for each mark must not cost others their Python stacks.

use core::{
    slice,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use hook::event::Event;
use wire::{
    arena::Arena,
    code::{Code, Codes},
    header::{ARENA_NEXT, Counter},
    layout::{CODE_WORDS, Sections},
    mark::{Kind, Mark, NAME_BYTES, NAME_LOST, NAME_SHARE, NO_NAME, key, split},
};

use super::{Ledger, Now};

/// The names of marks.
pub(super) struct Names<'a> {
    codes: Codes<'a>,
    arena: Arena<'a>,
    known: AtomicU64,
    room: u64,
}

impl<'a> Names<'a> {
    /// Names in the tables of `sections`; `None` if the header is too short.
    pub fn new(sections: &Sections<'a>) -> Option<Self> {
        Some(Self {
            codes: Codes::new(sections.codes),
            arena: Arena::new(sections.arena, sections.header.get(ARENA_NEXT)?),
            known: AtomicU64::new(0),
            room: (sections.codes.len() / CODE_WORDS / NAME_SHARE) as u64,
        })
    }

    /// The id of a name; `None` if there is no room for a new one.
    fn id(&self, name: &[u8]) -> Option<u32> {
        let (address, fingerprint) = key(name);
        if let Some(id) = self.codes.find(address, fingerprint) {
            return Some(id);
        }
        if self.known.load(Relaxed) >= self.room {
            return None;
        }
        let copy = || {
            // Counted here, as one thread of all that bring a new name at once comes here.
            self.known.fetch_add(1, Relaxed);
            Some(Code { name: self.arena.append(name)?, ..Code::default() })
        };
        self.codes.intern(address, fingerprint, copy)
    }
}

impl Ledger<'_> {
    /// Records a mark.
    ///
    /// # Safety
    /// `event.size` bytes at `event.address`, unless that is 0, can be read.
    pub(super) unsafe fn mark(&self, now: &Now, event: &Event) {
        let Some(kind) = Kind::of(event.classes) else { return };
        let (mut name, mut number) = (NO_NAME, None);
        if event.address != 0 {
            let length = NAME_BYTES.min(event.size as usize);
            let text = core::ptr::with_exposed_provenance::<u8>(event.address as usize);
            // SAFETY: by the caller's promise.
            let text = unsafe { slice::from_raw_parts(text, length) };
            let (stem, at_its_end) = split(text);
            number = at_its_end;
            name = self.names.id(stem).unwrap_or_else(|| {
                self.counters.count(Counter::NamesFull);
                NAME_LOST
            });
        }
        let domain = u16::try_from(event.extra).unwrap_or(u16::MAX);
        let mark = Mark { kind, name, number, domain, range: event.aux };
        self.ring.publish(&mark.record(now.time(), now.tid));
    }
}
