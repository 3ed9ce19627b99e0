//! From two reports to what differs.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Change, Diff, Held, OwnerChange, PhaseChange, RoleChange, SCHEMA_VERSION, SiteChange,
    Survivors, Unchanged,
    held::{self, Key, Use, called},
};
use crate::present::report::{Process, Report};

/// What differs between two reports, each with what it is the report of. What survived is for a trace
/// to tell: a report does not say when a block was born.
#[must_use]
pub fn diff(
    a: (super::Side, &Report),
    b: (super::Side, &Report),
    survivors: Option<Survivors>,
) -> Diff {
    let ((name_a, report_a), (name_b, report_b)) = (a, b);
    let one_run = survivors.is_some() || is_one_run(report_a, report_b);
    let joined: BTreeSet<String> = held::joined(report_a).chain(held::joined(report_b)).collect();
    let names = Names::new(report_a, report_b, one_run);
    let [a, b] = [report_a, report_b]
        .map(|report| held::Side::new(report, |process| names.of(process), &joined));
    let common = a.sites.keys().filter(|key| b.sites.contains_key(*key)).count() as u64;
    let comparable = one_run || common > 0 || a.sites.is_empty() || b.sites.is_empty();
    let (sites, unchanged) =
        if comparable { sites(&a, &b) } else { (Vec::new(), Unchanged::default()) };
    let notes = [(&name_a.name, report_a), (&name_b.name, report_b)].into_iter().flat_map(
        |(name, report)| {
            let prefix = format!("{name}: ");
            report.notes.iter().map(move |note| format!("{prefix}{note}"))
        },
    );
    let notes: BTreeSet<String> = notes.collect();
    Diff {
        schema_version: SCHEMA_VERSION,
        one_run,
        sites_in_common: common,
        comparable,
        roles: roles(&a.roles, &b.roles),
        owners: owners(&a.owners, &b.owners),
        sites,
        unchanged,
        survivors,
        phases: phases(&a, &b),
        notes: notes.into_iter().collect(),
        a: name_a,
        b: name_b,
    }
}

/// Whether a process of the one is one of the other.
fn is_one_run(a: &Report, b: &Report) -> bool {
    let instances = |report: &Report| -> BTreeSet<String> {
        report.processes.iter().filter_map(|process| process.instance.clone()).collect()
    };
    !instances(a).is_disjoint(&instances(b))
}

/// What processes are called on both sides.
struct Names {
    one_run: bool,
    /// Names that several processes of one side have.
    shared: BTreeSet<String>,
}

impl Names {
    fn new(a: &Report, b: &Report, one_run: bool) -> Self {
        let mut shared = BTreeSet::new();
        for report in [a, b] {
            let mut seen = BTreeSet::new();
            for process in report.processes.iter().filter(|process| process.instance.is_some()) {
                let name = called(process);
                if !seen.insert(name.clone()) {
                    shared.insert(name);
                }
            }
        }
        Self { one_run, shared }
    }

    /// In one run a process is itself, also where others are called the same.
    fn of(&self, process: &Process) -> String {
        let name = called(process);
        if self.one_run && self.shared.contains(&name) {
            format!("{name} (pid {})", process.pid)
        } else {
            name
        }
    }
}

fn both<'a, K: Ord, V>(
    a: &'a BTreeMap<K, V>,
    b: &'a BTreeMap<K, V>,
) -> impl Iterator<Item = (&'a K, Option<&'a V>, Option<&'a V>)> {
    let keys: BTreeSet<&K> = a.keys().chain(b.keys()).collect();
    keys.into_iter().map(|key| (key, a.get(key), b.get(key)))
}

fn roles(a: &BTreeMap<String, Held>, b: &BTreeMap<String, Held>) -> Vec<RoleChange> {
    let mut roles: Vec<RoleChange> = both(a, b)
        .map(|(name, a, b)| RoleChange { name: name.clone(), a: a.cloned(), b: b.cloned() })
        .collect();
    let reserved = |held: &Option<Held>| held.as_ref().map_or(0, |held| held.reserved_bytes);
    roles.sort_by_key(|role| std::cmp::Reverse(reserved(&role.a).abs_diff(reserved(&role.b))));
    roles
}

fn owners(a: &BTreeMap<String, u64>, b: &BTreeMap<String, u64>) -> Vec<OwnerChange> {
    let mut owners: Vec<OwnerChange> = both(a, b)
        .map(|(name, a, b)| OwnerChange {
            name: name.clone(),
            a_bytes: a.copied().unwrap_or(0),
            b_bytes: b.copied().unwrap_or(0),
        })
        .collect();
    owners.sort_by_key(|owner| std::cmp::Reverse(owner.a_bytes.abs_diff(owner.b_bytes)));
    owners
}

fn sites(a: &held::Side<'_>, b: &held::Side<'_>) -> (Vec<SiteChange>, Unchanged) {
    let (mut sites, mut unchanged) = (Vec::new(), Unchanged::default());
    let none = Use::default();
    for (key, before, after) in both(&a.live, &b.live) {
        let (before, after) = (before.unwrap_or(&none), after.unwrap_or(&none));
        match change(before, after) {
            None => {
                unchanged.sites += 1;
                unchanged.bytes = unchanged.bytes.saturating_add(after.bytes);
            }
            Some(change) => sites.extend(site(a, b, key, before, after, change)),
        }
    }
    sites.sort_by_key(|site| std::cmp::Reverse(site.a_bytes.abs_diff(site.b_bytes)));
    (sites, unchanged)
}

fn site(
    a: &held::Side<'_>,
    b: &held::Side<'_>,
    key: &Key,
    before: &Use,
    after: &Use,
    change: Change,
) -> Option<SiteChange> {
    let site = b.sites.get(key).or_else(|| a.sites.get(key))?;
    Some(SiteChange {
        site: (*site).clone(),
        change,
        a_bytes: before.bytes,
        b_bytes: after.bytes,
        a_blocks: before.blocks,
        b_blocks: after.blocks,
        roles: before.roles.union(&after.roles).cloned().collect(),
    })
}

fn change(before: &Use, after: &Use) -> Option<Change> {
    let [a, b] = [before, after].map(|used| (used.bytes, used.blocks));
    match (a, b) {
        _ if a == b => None,
        ((_, 0), _) => Some(Change::New),
        (_, (_, 0)) => Some(Change::Gone),
        _ if b > a => Some(Change::Grown),
        _ => Some(Change::Shrunk),
    }
}

fn phases(a: &held::Side<'_>, b: &held::Side<'_>) -> Vec<PhaseChange> {
    let mut phases: Vec<PhaseChange> = both(&a.phases, &b.phases)
        .map(|((role, name, device), a, b)| PhaseChange {
            role: role.clone(),
            name: name.clone(),
            device: *device,
            a: a.copied(),
            b: b.copied(),
        })
        .collect();
    phases.sort_by_key(|phase| {
        let (a, b) = (phase.a.unwrap_or_default(), phase.b.unwrap_or_default());
        let peak = |figures: super::PhaseFigures| {
            figures.peak_allocated_bytes.unwrap_or(figures.peak_reserved_bytes)
        };
        let survived = |figures: super::PhaseFigures| figures.survived_bytes.unwrap_or(0);
        let changed = peak(a).abs_diff(peak(b)).saturating_add(survived(a).abs_diff(survived(b)));
        std::cmp::Reverse(changed)
    });
    phases
}
