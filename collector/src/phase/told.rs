//! What is told of phases, by name.

use std::collections::BTreeMap;

use super::{NameId, Slept, course::Since};
use crate::state::{Device, Site, Use};

/// So many numbers may follow a name before they are taken for one phase that goes on: `stage 1` and
/// `stage 2` are two phases, a thousand steps are one.
pub const NUMBERS: usize = 16;
/// Sites kept of a list.
const SITES: usize = 32;

/// The phases of a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Name {
    /// Phases that began and ended.
    pub count: u64,
    /// Time in them, ns.
    pub time: u64,
    /// The longest, ns.
    pub longest: u64,
    /// Begin of the first, `CLOCK_MONOTONIC`, ns; that of phases that have not ended counts, too.
    pub first: Option<u64>,
    /// End of the last, `CLOCK_MONOTONIC`, ns; 0 if none has ended.
    pub last: u64,
    /// Open at the end.
    pub open: u64,
    /// Those of `count` that ended only with the phase around them.
    pub unended: u64,
    /// Of which nothing is known, because slots were lost or too many phases were open.
    pub cut: u64,
    /// What happened in them on each device.
    pub devices: BTreeMap<Device, OnDevice>,
}

/// What happened on a device in the phases of a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OnDevice {
    /// Greatest sum of block bytes.
    pub peak_allocated: u64,
    /// When, `CLOCK_MONOTONIC`, ns.
    pub peak_time: u64,
    /// What was live then, most bytes first, and not more than the largest.
    pub at_peak: Vec<(Site, Use)>,
    /// Greatest physical bytes.
    pub peak_reserved: u64,
    /// Taken in the phase that ended last, and live when it ended.
    pub survived: Use,
    /// By site, most bytes first, and not more than the largest.
    pub survivors: Vec<(Site, Use)>,
    /// The most that survived any.
    pub most_survived: u64,
}

/// Marked moments of a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// How many.
    pub count: u64,
    /// The first, `CLOCK_MONOTONIC`, ns.
    pub first: u64,
    /// The last.
    pub last: u64,
}

/// What is told of a process's phases.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    phases: BTreeMap<u32, Numbered<Name>>,
    moments: BTreeMap<u32, Numbered<Moment>>,
    /// Ends that found no begin.
    pub ends_without_begin: u64,
    /// What was held in the phases and at the marks whose name says that memory is given back.
    pub sleeps: Vec<Slept>,
}

/// What is told of a name, by the number it ends with.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Numbered<T> {
    Few(BTreeMap<Option<u64>, T>),
    Many(T),
}

/// Which phases a [`Name`] is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    /// Those of this name and number.
    One(NameId),
    /// Those of this name with any number.
    All(u32),
}

impl Of {
    pub fn is(self, name: NameId) -> bool {
        match self {
            Self::One(one) => one == name,
            Self::All(all) => all == name.0,
        }
    }
}

/// What two of a kind are together.
pub trait Join: Default {
    /// Takes another in.
    fn join(&mut self, other: Self);
}

impl<T: Join> Numbered<T> {
    fn of(&mut self, number: Option<u64>) -> &mut T {
        if let Self::Few(few) = self
            && few.len() >= NUMBERS
            && !few.contains_key(&number)
        {
            let mut all = T::default();
            std::mem::take(few).into_values().for_each(|one| all.join(one));
            *self = Self::Many(all);
        }
        match self {
            Self::Few(few) => few.entry(number).or_default(),
            Self::Many(all) => all,
        }
    }
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self::Few(BTreeMap::new())
    }
}

impl Told {
    pub(super) fn name(&mut self, (name, number): NameId) -> &mut Name {
        self.phases.entry(name).or_default().of(number)
    }

    pub(super) fn moment(&mut self, (name, number): NameId, time: u64) {
        let one = Moment { count: 1, first: time, last: time };
        self.moments.entry(name).or_default().of(number).join(one);
    }

    pub(super) fn each(&self) -> impl Iterator<Item = (Of, &Name)> + Clone {
        self.phases.iter().flat_map(|(id, numbered)| {
            let (few, all) = match numbered {
                Numbered::Few(few) => (Some(few), None),
                Numbered::Many(all) => (None, Some((Of::All(*id), all))),
            };
            let few = few.into_iter().flatten();
            few.map(|(number, one)| (Of::One((*id, *number)), one)).chain(all)
        })
    }

    /// The phases by name, where `text` gives the text of a name's id.
    #[must_use]
    pub fn names(&self, text: impl Fn(u32) -> String) -> BTreeMap<String, Name> {
        by_text(&self.phases, text)
    }

    /// The moments by name.
    #[must_use]
    pub fn moments(&self, text: impl Fn(u32) -> String) -> BTreeMap<String, Moment> {
        by_text(&self.moments, text)
    }
}

/// A name and its number; a name that many numbers follow ends with a star.
fn by_text<T: Join + Clone>(
    all: &BTreeMap<u32, Numbered<T>>,
    text: impl Fn(u32) -> String,
) -> BTreeMap<String, T> {
    let mut names: BTreeMap<String, T> = BTreeMap::new();
    for (id, numbered) in all {
        let stem = text(*id);
        let mut put = |name: String, one: &T| names.entry(name).or_default().join(one.clone());
        match numbered {
            Numbered::Few(few) => few.iter().for_each(|(number, one)| {
                put(number.map_or(stem.clone(), |number| format!("{stem}{number}")), one);
            }),
            Numbered::Many(all) => put(format!("{stem}*"), all),
        }
    }
    names
}

impl Name {
    pub(super) fn since(&mut self, time: u64) {
        self.first = Some(self.first.map_or(time, |first| first.min(time)));
    }

    pub(super) fn ended(&mut self, from: u64, to: u64) {
        self.since(from);
        // The clock cannot run backwards, but a damaged ring may say so.
        let took = to.saturating_sub(from);
        self.count += 1;
        self.time = self.time.saturating_add(took);
        self.longest = self.longest.max(took);
        self.last = self.last.max(to);
    }

    pub(super) fn peak(&mut self, device: Device, since: Since<'_>) {
        if since.reserved() == 0 && since.allocated().0 == 0 {
            return;
        }
        let told = self.devices.entry(device).or_default();
        told.peak_reserved = told.peak_reserved.max(since.reserved());
        let (allocated, time) = since.allocated();
        if allocated > told.peak_allocated {
            (told.peak_allocated, told.peak_time) = (allocated, time);
            told.at_peak = largest(since.at_peak());
        }
    }

    pub(super) fn survived(&mut self, device: Device, sites: BTreeMap<Site, Use>) {
        let Some(told) = self.devices.get_mut(&device) else { return };
        let bytes = sites.values().fold(0_u64, |sum, used| sum.wrapping_add(used.bytes));
        let blocks = sites.values().fold(0_u64, |sum, used| sum.wrapping_add(used.blocks));
        told.survived = Use { bytes, blocks };
        told.survivors = largest(sites);
        told.most_survived = told.most_survived.max(bytes);
    }
}

fn largest(sites: BTreeMap<Site, Use>) -> Vec<(Site, Use)> {
    let mut sites: Vec<_> = sites.into_iter().collect();
    sites.sort_by_key(|(site, used)| (std::cmp::Reverse(used.bytes), *site));
    sites.truncate(SITES);
    sites
}

impl Join for Moment {
    fn join(&mut self, other: Self) {
        self.first = if self.count == 0 { other.first } else { self.first.min(other.first) };
        self.last = self.last.max(other.last);
        self.count += other.count;
    }
}

impl Join for Name {
    fn join(&mut self, other: Self) {
        for (device, theirs) in other.devices {
            let ours = self.devices.entry(device).or_default();
            ours.join(theirs, other.last >= self.last);
        }
        if let Some(first) = other.first {
            self.since(first);
        }
        self.count += other.count;
        self.time = self.time.saturating_add(other.time);
        self.longest = self.longest.max(other.longest);
        self.last = self.last.max(other.last);
        self.open += other.open;
        self.unended += other.unended;
        self.cut += other.cut;
    }
}

impl OnDevice {
    fn join(&mut self, other: Self, is_later: bool) {
        self.peak_reserved = self.peak_reserved.max(other.peak_reserved);
        if other.peak_allocated > self.peak_allocated {
            self.peak_allocated = other.peak_allocated;
            (self.peak_time, self.at_peak) = (other.peak_time, other.at_peak);
        }
        if is_later {
            (self.survived, self.survivors) = (other.survived, other.survivors);
        }
        self.most_survived = self.most_survived.max(other.most_survived);
    }
}
