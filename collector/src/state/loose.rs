//! Physical memory that is held in only one of the two ways it can be held: by a handle that is mapped
//! nowhere, or by mappings whose handle the program has released.
//!
//! Both are as physical as any other. The first has no addresses, so that no program can use it now;
//! the second has no name, so that nobody can export it, map it once more or release it, and it goes
//! when the last of its mappings and bindings does.

use super::{Device, Site, State};

/// What of the two is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Missing {
    /// Addresses: no mapping and no binding.
    Mapping,
    /// A handle that the program still has a reference to.
    Name,
}

/// Physical memory of one handle that is mapped nowhere, or has no name any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loose {
    /// What is missing.
    pub missing: Missing,
    /// Bytes.
    pub bytes: u64,
    /// Who took it from the driver.
    pub site: Site,
    /// When, ns of `CLOCK_MONOTONIC`.
    pub birth: u64,
}

impl State {
    /// The memory of a device that is held in one way only. Memory of other processes is not among it.
    pub fn loose(&self, device: Device) -> impl Iterator<Item = Loose> {
        let handles = self.vmm.handles().values();
        let ours = handles.filter(move |handle| {
            handle.unit.device == device && handle.unit.kind().reserved() && handle.unit.size > 0
        });
        ours.filter_map(|handle| {
            let missing = match (handle.named, handle.mappings) {
                (true, 0) => Missing::Mapping,
                (false, _) => Missing::Name,
                (true, _) => return None,
            };
            let unit = handle.unit;
            Some(Loose { missing, bytes: unit.size, site: unit.site, birth: unit.birth })
        })
    }
}
