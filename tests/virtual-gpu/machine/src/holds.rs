//! Memory of one process that another has open.
//!
//! What a process frees while somebody else has it open stays on its card until the last of those
//! closes it or ends, whether or not its owner still lives then:
//!
//! ```text
//!   owner frees          the charge moves from its slot to a `Kept`, if there is a `Hold`
//!   holder closes, ends  its `Hold` goes; a `Kept` without any goes too, and the card has the room
//! ```
//!
//! A hold is written by its holder only and a kept charge by its owner only; both are taken away by
//! whoever sees first that they stand for nothing. So a process killed anywhere in between leaves
//! nothing wrong: the kept charge is written before the slot is made smaller.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use crate::account::{self, Machine, OutOfMemory, key};
use crate::process::ProcessKey;
use crate::shared::Layout;

/// Memory of other processes that all processes together can have open.
pub const HOLDS: usize = 1024;
/// Memory that was freed while open elsewhere.
pub const KEPT: usize = 256;

/// A process, in the file. One without an id stands for a free entry.
#[repr(C)]
pub struct Key {
    pid: AtomicU64,
    start: AtomicU64,
}

impl Key {
    fn get(&self) -> Option<ProcessKey> {
        let pid = self.pid.load(Relaxed) as u32;
        (pid != 0).then(|| ProcessKey { pid, start: self.start.load(Relaxed) })
    }

    /// The id last: an entry that its writer could not finish does not count.
    fn set(&self, key: ProcessKey) {
        self.start.store(key.start, Relaxed);
        self.pid.store(key.pid.into(), Relaxed);
    }

    fn clear(&self) {
        self.pid.store(0, Relaxed);
    }
}

/// A process has memory of another open.
#[repr(C)]
pub struct Hold {
    holder: Key,
    owner: Key,
    id: AtomicU64,
}

/// Freed by its owner, and still open elsewhere.
#[repr(C)]
pub struct Kept {
    owner: Key,
    id: AtomicU64,
    device: AtomicU64,
    bytes: AtomicU64,
}

impl Hold {
    fn is_on(&self, owner: ProcessKey, id: u64) -> bool {
        self.holder.get().is_some()
            && self.owner.get() == Some(owner)
            && self.id.load(Relaxed) == id
    }
}

impl Machine {
    /// Notes that this process has a piece of another's memory open; the owner's own number of it
    /// is `id`. Gives the number to close it by.
    ///
    /// # Errors
    /// `OutOfMemory` where all processes together have too much open.
    pub fn hold(&self, owner: ProcessKey, id: u64) -> Result<usize, OutOfMemory> {
        let guard = self.shared.lock();
        reap(&guard);
        let free = guard.holds.iter().position(|hold| hold.holder.get().is_none());
        let index = free.ok_or(OutOfMemory)?;
        let hold = &guard.holds[index];
        hold.owner.set(owner);
        hold.id.store(id, Relaxed);
        hold.holder.set(ProcessKey::own());
        Ok(index)
    }

    /// This process has closed it.
    pub fn let_go(&self, index: usize) {
        let guard = self.shared.lock();
        guard.holds[index].holder.clear();
        reap(&guard);
    }

    /// Has any living process memory of this one open?
    pub fn is_held(&self, id: u64) -> bool {
        let guard = self.shared.lock();
        account::reap(&guard);
        is_held(&guard, ProcessKey::own(), id)
    }

    /// In place of `give_back`: leaves the charge standing if somebody has the memory open. False
    /// if nobody has.
    pub fn keep(&self, device: usize, bytes: u64, id: u64) -> bool {
        let guard = self.shared.lock();
        account::reap(&guard);
        let own = ProcessKey::own();
        let free = guard.kept.iter().find(|kept| kept.owner.get().is_none());
        let Some(kept) = free.filter(|_| is_held(&guard, own, id)) else { return false };
        kept.id.store(id, Relaxed);
        kept.device.store(device as u64, Relaxed);
        kept.bytes.store(bytes, Relaxed);
        kept.owner.set(own);
        self.take_from_slot(&guard, device, bytes);
        true
    }
}

fn is_held(layout: &Layout, owner: ProcessKey, id: u64) -> bool {
    layout.holds.iter().any(|hold| hold.is_on(owner, id))
}

/// Takes away what stands for nothing: holds of processes that have no slot, and kept charges that
/// nobody holds.
pub fn reap(layout: &Layout) {
    let lives = |process| layout.slots.iter().any(|slot| key(slot) == Some(process));
    for hold in &layout.holds {
        if hold.holder.get().is_some_and(|holder| !lives(holder)) {
            hold.holder.clear();
        }
    }
    for kept in &layout.kept {
        let held = |owner| is_held(layout, owner, kept.id.load(Relaxed));
        if kept.owner.get().is_some_and(|owner| !held(owner)) {
            kept.owner.clear();
        }
    }
}

/// Makes a new file's tables empty.
pub fn clear(layout: &Layout) {
    layout.holds.iter().for_each(|hold| hold.holder.clear());
    layout.kept.iter().for_each(|kept| kept.owner.clear());
}

/// Closes all that a process has open: it begins anew.
pub fn close_all(layout: &Layout, process: ProcessKey) {
    for hold in &layout.holds {
        if hold.holder.get() == Some(process) {
            hold.holder.clear();
        }
    }
    reap(layout);
}

/// The kept charges on a card, and the process each is told of: its owner, or a holder where that
/// one has ended.
pub fn kept_on(layout: &Layout, device: usize) -> impl Iterator<Item = (u32, u64)> {
    let of_card = move |kept: &&Kept| kept.device.load(Relaxed) == device as u64;
    layout.kept.iter().filter(of_card).filter_map(move |kept| {
        let owner = kept.owner.get()?;
        let lives = layout.slots.iter().any(|slot| key(slot) == Some(owner));
        let id = kept.id.load(Relaxed);
        let holder = || layout.holds.iter().find(|hold| hold.is_on(owner, id))?.holder.get();
        let told = if lives { Some(owner) } else { holder() };
        Some((told.unwrap_or(owner).pid, kept.bytes.load(Relaxed)))
    })
}
