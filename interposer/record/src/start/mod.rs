//! From nothing to a ledger: the only part of the recorder that makes files.
//!
//! Runs once, inside the program's first `cuInit`. It either returns a ledger or leaves an `.off`
//! file that says why not, if it can even do that.

mod cookie;
mod describe;
mod folder;
mod identity;
mod mapping;
mod room;

pub use cookie::Cookie;
pub(crate) use describe::command;

use core::sync::atomic::{
    AtomicU64,
    Ordering::{Relaxed, Release},
};
use wire::{
    arena::Arena,
    folder::Off,
    header::{self, Mode, Reason, mode_word},
    layout::{PROFILES, Sections},
};

use crate::{clock, ledger::Ledger, stack::Inside};
use {folder::Folder, identity::Identity};

/// Makes this process's file and its ledger. `names` are the lines of the hook table, `inside` the
/// code that is left out of stacks.
pub fn start(names: &[u8], inside: Inside) -> Option<Ledger<'static>> {
    let folder = Folder::open()?;
    let identity = Identity::read();
    match open(&folder, &identity, names, inside) {
        Ok(ledger) => Some(ledger),
        Err(reason) => {
            folder.leave(&Off {
                instance: identity.instance,
                pid: identity.pid,
                start_ticks: identity.start_ticks,
                pid_namespace: identity.pid_namespace,
                reason: reason as u64,
            });
            None
        }
    }
}

fn open(
    folder: &Folder,
    identity: &Identity,
    names: &[u8],
    inside: Inside,
) -> Result<Ledger<'static>, Reason> {
    let profile = room::profile(folder)?;
    let layout = PROFILES.get(profile).ok_or(Reason::File)?;
    let cookie = Cookie::new().ok_or(Reason::File)?;
    let words = mapping::create(folder, identity, layout).ok_or(Reason::File)?;
    let sections = Sections::split(words, layout).ok_or(Reason::File)?;
    write_header(&sections, identity, profile, names);
    describe::write(sections.text);
    if let Some(mode) = sections.header.get(header::MODE) {
        // Release: whoever reads "on" also reads the header above.
        mode.store(mode_word(Mode::On, Reason::None), Release);
    }
    Ledger::new(sections, folder.control(), cookie, inside).ok_or(Reason::File)
}

fn write_header(sections: &Sections<'_>, identity: &Identity, profile: usize, names: &[u8]) {
    let put = |at: usize, value: u64| {
        if let Some(word) = sections.header.get(at) {
            word.store(value, Relaxed);
        }
    };
    put(header::VERSION, u64::from(header::LAYOUT_VERSION) | (profile as u64) << 32);
    put(header::INSTANCE_0, identity.instance[0]);
    put(header::INSTANCE_1, identity.instance[1]);
    put(header::PID, identity.pid);
    put(header::START_TICKS, identity.start_ticks);
    put(header::PID_NAMESPACE, identity.pid_namespace);
    put(header::STARTED_MONOTONIC, clock::monotonic());
    put(header::STARTED_REALTIME, clock::realtime());
    let unused = AtomicU64::new(0);
    let next = sections.header.get(header::ARENA_NEXT).unwrap_or(&unused);
    if let Some(span) = Arena::new(sections.arena, next).append(names) {
        put(header::API_NAMES, span.encode());
    }
    put(header::MAGIC, header::MAGIC_VALUE);
}
