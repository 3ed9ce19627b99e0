//! The trial's ledger, read as any process's is.

use std::path::Path;

use wire::{header::Counter, layout::FULL, record::Class};

use crate::{
    process::{Losses, warnings::warnings},
    source::{RingFile, offs, rings, unrecorded},
};

/// What the ledger says of one address.
#[derive(Debug)]
pub struct Reading {
    /// Bytes of device memory that are held there.
    pub held: Option<u64>,
    /// `full` or `small`.
    pub profile: String,
    /// Names that were recognised by name only.
    pub by_name: u64,
}

/// Reads the one ledger in `folder`.
///
/// # Errors
/// One sentence: there is none, or none that can be read.
pub fn read(folder: &Path, address: u64) -> Result<Reading, String> {
    let listed = |error| format!("{} cannot be listed: {error}", folder.display());
    let Some(found) = rings(folder).map_err(listed)?.pop() else {
        let Some((off, _)) = offs(folder).map_err(listed)?.pop() else {
            return Err(
                "the trial used CUDA and left no ledger: is libmemtrace_core.so of the same \
                 build as libmemtrace.so?"
                    .to_owned(),
            );
        };
        let (_, health) = unrecorded(&off);
        return Err(warnings(&health, &Losses::default()).join("; "));
    };
    let damaged = |damage| format!("{} {damage}", found.path.display());
    let ring = RingFile::open(&found.path).map_err(damaged)?;
    let live = ring.live().map_err(damaged)?;
    let health = ring.health().map_err(damaged)?;
    let entry = live.entries.iter().map(|live| live.entry);
    let held = entry
        .filter(|entry| entry.class == Class::Linear && entry.address == address)
        .map(|entry| entry.size)
        .next();
    let profile = if *ring.layout() == FULL { "full" } else { "small" };
    Ok(Reading {
        held,
        profile: profile.to_owned(),
        by_name: health.counter(Counter::UnmappedName),
    })
}
