//! One side of a comparison: a report, by what its processes and sites are called.

use std::collections::{BTreeMap, BTreeSet};

use super::{Held, PhaseFigures};
use crate::present::{
    report::{Frame, Phase, Process, Report, Site},
    text::name,
};
use crate::symbol::modules::file_name;

/// What a site is known by in another run: its frames as text. Of one with Python frames they are
/// enough; addresses and build-ids are those of one build.
pub(super) type Key = Vec<String>;

/// What a site has live, and where.
#[derive(Clone, Debug, Default)]
pub(super) struct Use {
    pub bytes: u64,
    pub blocks: u64,
    pub roles: BTreeSet<String>,
}

/// A report by names.
#[derive(Debug, Default)]
pub(super) struct Side<'a> {
    pub roles: BTreeMap<String, Held>,
    pub owners: BTreeMap<String, u64>,
    pub live: BTreeMap<Key, Use>,
    pub sites: BTreeMap<Key, &'a Site>,
    pub phases: BTreeMap<(String, String, u8), PhaseFigures>,
}

impl<'a> Side<'a> {
    /// The side that `report` is, whose processes are called as `called` says; of the names in `joined`
    /// all numbers are one phase.
    pub fn new(
        report: &'a Report,
        called: impl Fn(&Process) -> String,
        joined: &BTreeSet<String>,
    ) -> Self {
        let mut side = Self::default();
        let keys: BTreeMap<&str, Key> =
            report.sites.iter().map(|(id, site)| (id.as_str(), key(site))).collect();
        for (id, site) in &report.sites {
            side.sites.insert(keys[id.as_str()].clone(), site);
        }
        for process in report.processes.iter().filter(|process| process.instance.is_some()) {
            let role = called(process);
            side.hold(process, &role);
            for used in process.devices.iter().flat_map(|device| &device.sites) {
                let Some(key) = keys.get(used.site.as_str()) else { continue };
                let live = side.live.entry(key.clone()).or_default();
                live.bytes = live.bytes.saturating_add(used.live_bytes);
                live.blocks = live.blocks.saturating_add(used.blocks);
                live.roles.insert(role.clone());
            }
            side.phases(process, &role, joined);
        }
        side
    }

    fn hold(&mut self, process: &Process, role: &str) {
        let held = self.roles.entry(role.to_owned()).or_default();
        held.pids.push(process.pid);
        for device in &process.devices {
            held.reserved_bytes = held.reserved_bytes.saturating_add(device.reserved_bytes);
            for allocated in device.allocators.iter().filter_map(|each| each.allocated_bytes) {
                let sum = held.allocated_bytes.get_or_insert(0);
                *sum = sum.saturating_add(allocated);
            }
            for owner in &device.owners {
                let sum = self.owners.entry(owner.name.clone()).or_default();
                *sum = sum.saturating_add(owner.bytes);
            }
        }
    }

    fn phases(&mut self, process: &Process, role: &str, joined: &BTreeSet<String>) {
        let mut phases: Vec<&Phase> = process.phases.phases.iter().collect();
        phases.sort_by_key(|phase| phase.last_ns);
        let mut told: BTreeMap<(String, u8), PhaseFigures> = BTreeMap::new();
        for phase in phases {
            let stem = stem(&phase.name);
            let name = if joined.contains(stem) { format!("{stem}*") } else { phase.name.clone() };
            for device in &phase.devices {
                let figures = told.entry((name.clone(), device.device)).or_default();
                figures.count += phase.count;
                figures.rise(device.peak_allocated_bytes, device.peak_reserved_bytes);
                if phase.count > 0 {
                    figures.survived_bytes = device.survived_bytes;
                }
            }
        }
        for ((name, device), one) in told {
            let all = self.phases.entry((role.to_owned(), name, device)).or_default();
            all.count = all.count.max(one.count);
            all.rise(one.peak_allocated_bytes, one.peak_reserved_bytes);
            all.survived_bytes = all.survived_bytes.max(one.survived_bytes);
        }
    }
}

impl PhaseFigures {
    fn rise(&mut self, allocated: Option<u64>, reserved: u64) {
        self.peak_allocated_bytes = self.peak_allocated_bytes.max(allocated);
        self.peak_reserved_bytes = self.peak_reserved_bytes.max(reserved);
    }
}

/// Names that have had so many numbers in a report that it takes them for one phase.
pub(super) fn joined(report: &Report) -> impl Iterator<Item = String> {
    let phases = report.processes.iter().flat_map(|process| &process.phases.phases);
    phases.filter_map(|phase| phase.name.strip_suffix('*').map(str::to_owned))
}

/// A name without the number at its end.
fn stem(name: &str) -> &str {
    name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '*')
}

/// What a process is called: its role, else its program.
pub(super) fn called(process: &Process) -> String {
    name(process.role.as_deref(), &process.command)
}

/// What a site is known by.
pub(super) fn key(site: &Site) -> Key {
    let python = site.frames.iter().filter_map(|frame| match frame {
        Frame::Python { function, file, line } => {
            // Without its folder: the same program may lie elsewhere.
            Some(format!("{}:{} {function}", file_name(file), line.unwrap_or(0)))
        }
        Frame::Native { .. } => None,
    });
    let python: Key = python.collect();
    if python.is_empty() { site.frames.iter().map(native).collect() } else { python }
}

fn native(frame: &Frame) -> String {
    match frame {
        Frame::Native { function: Some(function), .. } => function.clone(),
        Frame::Native { module: Some(module), offset, .. } => {
            format!("{}+{offset:#x}", file_name(module))
        }
        _ => "generated code".to_owned(),
    }
}
