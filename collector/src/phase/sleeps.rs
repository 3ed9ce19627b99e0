//! What was held in the sleeps of a process: before each, and when least was.
//!
//! ```text
//! reserved  ───────╮                ╭───  before: at the begin
//!                  ╰───╮        ╭───╯     least: in between, whenever it was, so that a phase may be the
//!                      ╰────────╯         call that puts to sleep, or the whole sleep with its end
//! ```
//!
//! A mark has no begin: it says that the process sleeps now, and the most since the mark before it is
//! what was held before. Where no more than a little was taken since then it is the same sleep.

use std::collections::{BTreeMap, HashMap};

use wire::record::{Class, Record, Verb};

use super::{Sleep, asleep};
use crate::{
    ledger::Tables,
    state::{Device, Free, Kind, Segment, Site, State, Use},
};

/// Least bytes before it is looked at who holds them: what holds less is no finding on any card.
const WORTH: u64 = 1 << 30;
/// Blocks and extents looked at in one process; later sleeps tell their sums only. It bounds what a
/// program costs that puts something aside in each of its steps.
const LOOKED_AT: u64 = 1 << 24;

/// What a device held at one moment of a sleep.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Physical bytes.
    pub reserved: u64,
    /// In how many extents.
    pub extents: u64,
    /// Who held them; `None` where that was not looked at.
    pub by: Option<HeldBy>,
}

/// Who held physical bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeldBy {
    /// Blocks by site, as far as there is memory behind them.
    pub blocks: BTreeMap<Site, Use>,
    /// Memory whose blocks nobody reports, by the site that took it.
    pub direct: BTreeMap<Site, Use>,
    /// What lay free in the memory of allocators.
    pub free: Free,
}

/// The sleeps of one name on one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slept {
    /// Id of the name.
    pub name: u32,
    /// What the name says.
    pub sleep: Sleep,
    /// Where.
    pub device: Device,
    /// How many were seen.
    pub times: u64,
    /// The least that an earlier one held; `None` of the first.
    pub least_before: Option<u64>,
    /// Begin of the last, `CLOCK_MONOTONIC`, ns.
    pub began: u64,
    /// Whether the last is still under way.
    pub open: bool,
    /// Whether it was marked only.
    pub marked: bool,
    /// Physical bytes before the last.
    pub before: u64,
    /// In how many extents; of a marked sleep nobody knows.
    pub extents_before: Option<u64>,
    /// What was held when least was.
    pub held: Held,
}

/// A sleep that is under way.
#[derive(Clone, Debug)]
struct UnderWay {
    stretch: u64,
    name: u32,
    sleep: Sleep,
    began: u64,
    /// By device.
    devices: BTreeMap<Device, Stay>,
}

/// What a device held before a sleep, and in it.
#[derive(Clone, Debug)]
struct Stay {
    before: u64,
    extents_before: Option<u64>,
    /// The least so far.
    held: Held,
}

/// Follows the sleeps of one process.
#[derive(Clone, Debug, Default)]
pub(super) struct Sleeps {
    names: HashMap<u32, Sleep>,
    under_way: Vec<UnderWay>,
    /// What was held at the last mark, by device.
    marked: BTreeMap<Device, u64>,
    /// The most since then.
    most: BTreeMap<Device, u64>,
    looked_at: u64,
    slept: BTreeMap<(u32, Device), Slept>,
}

impl Sleeps {
    pub fn learn(&mut self, tables: &Tables) {
        self.names.extend(asleep::ids(tables));
    }

    /// `record` is about to change `state`.
    pub fn coming(&mut self, state: &State, record: &Record) {
        let takes = record.verb == Verb::Alloc && holds(record.class);
        if takes && !self.under_way.is_empty() {
            self.look(state, record.device);
        }
    }

    /// `record` has changed `state`.
    pub fn applied(&mut self, state: &State, record: &Record) {
        if !self.names.is_empty() && holds(record.class) {
            let reserved = state.totals(record.device).reserved();
            let most = self.most.entry(record.device).or_default();
            *most = reserved.max(*most);
        }
    }

    pub fn begin(&mut self, state: &State, stretch: u64, name: u32, time: u64) {
        let Some(sleep) = self.names.get(&name) else { return };
        let devices = state.devices().map(|device| {
            let (before, extents) = (state.totals(device).reserved(), state.extents(device));
            let held = Held { reserved: before, extents, by: None };
            (device, Stay { before, extents_before: Some(extents), held })
        });
        let devices = devices.collect();
        self.under_way.push(UnderWay { stretch, name, sleep: *sleep, began: time, devices });
    }

    pub fn end(&mut self, state: &State, stretch: u64) {
        let Some(at) = self.under_way.iter().position(|one| one.stretch == stretch) else { return };
        state.devices().for_each(|device| self.look(state, device));
        let one = self.under_way.swap_remove(at);
        self.tell(one, false, false);
    }

    pub fn mark(&mut self, state: &State, name: u32, time: u64) {
        let Some(sleep) = self.names.get(&name).copied() else { return };
        let mut devices = BTreeMap::new();
        for device in state.devices() {
            let most = self.most.get(&device).copied().unwrap_or(0);
            let marked = self.marked.get(&device);
            if marked.is_some_and(|marked| most < marked.saturating_add(WORTH)) {
                continue;
            }
            let held = self.held(state, device);
            self.marked.insert(device, held.reserved);
            self.most.insert(device, held.reserved);
            let before = most.max(held.reserved);
            devices.insert(device, Stay { before, extents_before: None, held });
        }
        self.tell(UnderWay { stretch: 0, name, sleep, began: time, devices }, false, true);
    }

    /// The end of a phase was never seen.
    pub fn forget(&mut self, stretch: u64) {
        self.under_way.retain(|one| one.stretch != stretch);
    }

    /// What is held is not known any more.
    pub fn cut(&mut self) {
        self.under_way.clear();
        self.marked.clear();
        self.most.clear();
    }

    /// The end of the timeline: by name and device.
    pub fn finish(mut self, state: &State) -> Vec<Slept> {
        for device in state.devices() {
            self.look(state, device);
        }
        for one in std::mem::take(&mut self.under_way) {
            self.tell(one, true, false);
        }
        self.slept.into_values().collect()
    }

    /// Notes what is held, where it is the least of a sleep so far.
    fn look(&mut self, state: &State, device: Device) {
        let reserved = state.totals(device).reserved();
        let is_least = |held: &Held| {
            reserved < held.reserved || reserved == held.reserved && held.by.is_none()
        };
        let mut under_way = std::mem::take(&mut self.under_way);
        let sleeps = under_way.iter_mut().filter_map(|one| one.devices.get_mut(&device));
        let mut least: Vec<&mut Held> =
            sleeps.map(|stay| &mut stay.held).filter(|held| is_least(held)).collect();
        if !least.is_empty() {
            let held = self.held(state, device);
            least.iter_mut().for_each(|least| **least = held.clone());
        }
        self.under_way = under_way;
    }

    /// What a device holds. Who holds it is looked at only where that may be a finding.
    fn held(&mut self, state: &State, device: Device) -> Held {
        let (reserved, extents) = (state.totals(device).reserved(), state.extents(device));
        if reserved < WORTH || self.looked_at >= LOOKED_AT {
            return Held { reserved, extents, by: None };
        }
        let segments = state.segments(device);
        let pieces = segments.iter().map(|one| one.extents.len() + one.blocks.len());
        self.looked_at += pieces.sum::<usize>() as u64;
        Held { reserved, extents, by: Some(held_by(&segments)) }
    }

    fn tell(&mut self, one: UnderWay, open: bool, marked: bool) {
        for (device, Stay { before, extents_before, held }) in one.devices {
            let (name, sleep, began) = (one.name, one.sleep, one.began);
            let earlier = self.slept.remove(&(name, device));
            let least_before = earlier
                .as_ref()
                .map(|earlier| earlier.held.reserved.min(earlier.least_before.unwrap_or(u64::MAX)));
            let times = earlier.map_or(0, |earlier| earlier.times) + 1;
            let slept = Slept {
                name,
                sleep,
                device,
                times,
                least_before,
                began,
                open,
                marked,
                before,
                extents_before,
                held,
            };
            self.slept.insert((name, device), slept);
        }
    }
}

/// Whether things of a class are physical memory of a device.
fn holds(class: Class) -> bool {
    !matches!(
        class,
        Class::None | Class::Block | Class::Reservation | Class::PoolBlock | Class::Host
    )
}

fn held_by(segments: &[Segment]) -> HeldBy {
    let mut by = HeldBy::default();
    for segment in segments.iter().filter(|segment| segment.kind.reserved()) {
        if !segment.holds_blocks && segment.kind != Kind::Pool {
            for extent in &segment.extents {
                add(&mut by.direct, extent.site, extent.physical);
            }
            continue;
        }
        by.free += segment.free();
        for block in &segment.blocks {
            add(&mut by.blocks, block.site, segment.backed_bytes(block));
        }
    }
    by
}

fn add(uses: &mut BTreeMap<Site, Use>, site: Site, bytes: u64) {
    if bytes > 0 {
        let used = uses.entry(site).or_default();
        used.bytes = used.bytes.saturating_add(bytes);
        used.blocks += 1;
    }
}
