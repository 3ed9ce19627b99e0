//! What the driver gave in one go, whatever it is.

use wire::record::Class;

use super::{Device, Kind, Site, range::Born};

/// Whose memory it is, as far as blocks tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Not among the reserved: managed, pinned host, or another process's.
    Beside,
    /// Just taken: the thread's next step tells whether a block comes to lie in it.
    Fresh,
    /// No block of PyTorch's ever lay in it: live as a whole.
    Direct,
    /// A block of PyTorch's lay in it once, so PyTorch's allocator holds it until its end.
    Allocator,
}

/// A piece of memory that was taken by one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unit {
    pub class: Class,
    pub device: Device,
    pub size: u64,
    pub site: Site,
    /// ns, whole microseconds, so that it is the same from a record and from a live entry.
    pub birth: u64,
    /// Taken while a stream capture was under way.
    pub private: bool,
    /// The context it lives in, 0 if not known.
    pub context: u64,
    pub standing: Standing,
}

impl Standing {
    /// The standing of memory just taken.
    pub fn at_first(class: Class) -> Self {
        match class {
            Class::Linear | Class::Handle => Self::Fresh,
            Class::Array | Class::Graph => Self::Direct,
            _ => Self::Beside,
        }
    }
}

/// Whether memory of this class is a range of device addresses by itself.
pub(super) fn has_addresses(class: Class) -> bool {
    matches!(class, Class::Linear | Class::Managed | Class::IpcImport | Class::ImportedBlock)
}

impl Born for Unit {
    fn birth(&self) -> u64 {
        self.birth
    }
}

impl Unit {
    /// Whether its standing is still open.
    pub fn is_fresh(&self) -> bool {
        matches!(self.standing, Standing::Fresh)
    }

    /// What it counts as. Only units that count as something exist: blocks, mappings and
    /// reservations hold no bytes of their own.
    pub fn kind(&self) -> Kind {
        Kind::of(self.class)
    }
}

impl Kind {
    /// The kind of a class that holds memory of its own.
    pub(super) fn of(class: Class) -> Self {
        match class {
            Class::Handle => Self::Vmm,
            Class::Array => Self::Array,
            Class::Graph => Self::Graph,
            Class::Managed => Self::Managed,
            Class::Host => Self::Host,
            Class::IpcImport | Class::ImportedHandle | Class::ImportedBlock | Class::External => {
                Self::Imported
            }
            _ => Self::Linear,
        }
    }
}
