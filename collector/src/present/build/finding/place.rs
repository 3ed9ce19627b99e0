//! Where a finding holds: one device of one process.

use std::collections::BTreeSet;

use crate::{
    present::{
        report::{Allocator, Device, FindingInstance, Process, ProcessState},
        text::name,
    },
    symbol::owner,
};

/// Processes named in one sentence; of more it says how many.
const NAMED: usize = 4;

/// One device of one process.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub process: &'a Process,
    pub device: &'a Device,
}

impl<'a> Place<'a> {
    /// What to call the process.
    pub fn who(&self) -> String {
        who(self.process)
    }

    /// Whether it has not ended.
    pub fn is_running(&self) -> bool {
        self.process.state == ProcessState::Running
    }

    /// PyTorch's allocator there.
    pub fn torch(&self) -> Option<&'a Allocator> {
        self.device.allocators.iter().find(|allocator| allocator.name == owner::TORCH)
    }

    /// Whether it is the same device of the same process.
    pub fn is(&self, other: &Place<'_>) -> bool {
        std::ptr::eq(self.device, other.device)
    }

    /// Whether `instance` of a finding is this place.
    pub fn is_of(&self, instance: &FindingInstance) -> bool {
        self.process.instance.as_deref() == Some(instance.instance.as_str())
            && self.device.device == instance.device
    }

    /// The place in the JSON.
    pub fn instance(&self, bytes: u64) -> FindingInstance {
        FindingInstance {
            instance: self.process.instance.clone().unwrap_or_default(),
            device: self.device.device,
            role: self.process.role.clone(),
            bytes,
            pid: self.process.pid,
        }
    }
}

/// What to call a process.
pub(super) fn who(process: &Process) -> String {
    format!("{} (pid {})", name(process.role.as_deref(), &process.command), process.pid)
}

/// How many they are: processes, or devices where it is several of one.
pub(super) fn several(places: &[Place<'_>]) -> String {
    let pids: BTreeSet<u32> = places.iter().map(|place| place.process.pid).collect();
    let noun = if pids.len() == places.len() { "processes" } else { "devices" };
    format!("{} {noun}", places.len())
}

/// Their names.
pub(super) fn named(places: &[Place<'_>]) -> String {
    let mut names: Vec<String> = places.iter().take(NAMED).map(Place::who).collect();
    if places.len() > NAMED {
        names.push(format!("{} more", places.len() - NAMED));
    }
    names.join(", ")
}

/// Where to do something about it.
pub(super) fn inside(places: &[Place<'_>]) -> String {
    match places {
        [one] => format!("in {}", one.who()),
        _ => "in those processes".to_owned(),
    }
}
