//! How a piece of one process's memory gets an address in another.
//!
//! A handle names the owner's file by process and descriptor; whoever opens it does so through
//! `/proc`. So both must run as one user, and the owner must live.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::AsRawFd;

use machine::ProcessKey;

use crate::device::Device;
use crate::driver::Driver;
use crate::error::{Code, Outcome};
use crate::memory::{Allocation, Kind};
use crate::store;

const PAGE: u64 = 4096;

/// A piece of memory for another process, in 64 bytes that anybody may carry there.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Handle {
    /// What kind of handle it is.
    pub magic: u64,
    pub pid: u32,
    fd: i32,
    start: u64,
    /// The machine's index of the card.
    device: u64,
    offset: u64,
    pub size: u64,
    /// The owner's number of it: tells apart what stood at the same place one after the other.
    id: u64,
    /// The owner's handle of the pool that it lies in; 0 for none.
    pub pool: u64,
}

/// Memory of others that has an address here: the machine's number of each hold.
#[derive(Default)]
pub struct Imports {
    holds: BTreeMap<u64, usize>,
}

impl Driver {
    /// Makes the handle of an allocation.
    pub fn handle_of(&mut self, magic: u64, start: u64, found: Allocation) -> Handle {
        self.note_exported(found.id);
        let card = &self.devices[found.device];
        let own = ProcessKey::own();
        Handle {
            magic,
            pid: own.pid,
            fd: card.store.file().as_raw_fd(),
            start: own.start,
            device: card.index as u64,
            offset: card.store.offset(start),
            size: found.size,
            id: found.id,
            pool: if let Kind::Pool(pool) = found.kind { pool } else { 0 },
        }
    }

    /// This process's ordinal of the card that a handle's memory lies on.
    pub fn device_of(&self, handle: Handle) -> Outcome<usize> {
        let same_card = |device: &Device| device.index as u64 == handle.device;
        self.devices.iter().position(same_card).ok_or(Code::INVALID_DEVICE)
    }

    /// Gives another process's memory an address, and holds it there.
    pub fn open_shared(&mut self, handle: Handle, kind: Kind) -> Outcome<u64> {
        let device = self.device_of(handle)?;
        let path = format!("/proc/{}/fd/{}", handle.pid, handle.fd);
        let options = File::options().read(true).write(true).open(path);
        let file = options.map_err(|_| Code::INVALID_VALUE)?;
        let within = handle.offset % PAGE;
        let room = (within + handle.size).next_multiple_of(PAGE);
        let base = store::reserve(room, store::GRANULE, 0).map_err(|_| Code::OUT_OF_MEMORY)?;
        let placed = store::place(&file, handle.offset - within, base, room, true);
        let owner = ProcessKey { pid: handle.pid, start: handle.start };
        let hold = placed
            .map_err(|_| Code::INVALID_VALUE)
            .and_then(|()| self.machine.hold(owner, handle.id).map_err(|_| Code::OUT_OF_MEMORY))
            .inspect_err(|_| store::release(base, room))?;
        let address = base + within;
        self.book(address, handle.size, room, kind, device);
        self.imports.holds.insert(address, hold);
        Ok(address)
    }

    /// Takes it away again.
    pub fn close_shared(&mut self, address: u64, room: u64) {
        store::release(address - address % PAGE, room);
        if let Some(hold) = self.imports.holds.remove(&address) {
            self.machine.let_go(hold);
        }
    }
}

const _: () = assert!(size_of::<Handle>() == 64);
