//! What a process handed to others on a device, and what it has open of theirs.

use std::{cmp::Reverse, collections::BTreeMap};

use super::{Subject, sites::SiteBook};
use crate::{
    ledger::{End, Instance},
    present::report::{Export, Import, Opener, Peer},
    process::{Job, Process},
    sharing::{self, OpenBytes, Shared},
    state::{Device, Lenders, Share},
};

/// What the processes of a job share, and who they are.
pub(super) struct Commons<'a> {
    pub shared: Shared,
    processes: &'a [Process],
}

impl<'a> Commons<'a> {
    pub fn of(job: &'a Job) -> Self {
        Self { shared: Shared::of(&job.processes, &job.ended_by), processes: &job.processes }
    }

    pub fn process(&self, instance: Instance) -> Option<&'a Process> {
        self.processes.iter().find(|process| process.identity.instance == instance)
    }

    fn peer(&self, instance: Instance) -> Option<Peer> {
        let process = self.process(instance)?;
        let (pid, role) = (process.pid, process.role.clone());
        Some(Peer { instance: instance.to_string(), pid, role })
    }

    /// Whether a process has ended; one that nobody knows has.
    pub fn is_over(&self, instance: Instance) -> bool {
        self.process(instance).is_none_or(|process| process.end != End::Running)
    }

    /// All that the subject handed out on a device.
    pub fn handed_out<'b>(
        &'b self,
        subject: &Subject<'_>,
        device: Device,
    ) -> impl Iterator<Item = &'b sharing::Export> {
        let instance = subject.process.identity.instance;
        let mine = move |export: &&sharing::Export| {
            export.owner == instance && export.share.device == device
        };
        self.shared.exports.iter().filter(mine)
    }

    /// What of it is there, or kept open by others.
    pub fn out<'b>(
        &'b self,
        subject: &Subject<'_>,
        device: Device,
    ) -> impl Iterator<Item = &'b sharing::Export> {
        let matters = |export: &&sharing::Export| {
            export.share.is_held() || self.shared.openers(export).any(|import| import.kept)
        };
        self.handed_out(subject, device).filter(matters)
    }
}

fn add(sum: &mut u64, more: u64) {
    *sum = sum.saturating_add(more);
}

/// What is open here of others' on a device.
fn open_here<'a>(
    subject: &Subject<'_>,
    commons: &'a Commons<'_>,
    device: Device,
) -> impl Iterator<Item = &'a sharing::Import> + use<'a> {
    let instance = subject.process.identity.instance;
    let mine = move |one: &&sharing::Import| {
        one.holder == instance && one.share.device == device && one.share.is_held()
    };
    commons.shared.imports.iter().filter(mine)
}

/// Bytes that are open here more than once: each open has its own in the books.
pub(super) fn open_again(subject: &Subject<'_>, commons: &Commons<'_>, device: Device) -> u64 {
    let mut open = OpenBytes::default();
    let again = |one: &sharing::Import| one.share.size - open.add(&commons.shared, one);
    open_here(subject, commons, device).map(again).fold(0, u64::saturating_add)
}

/// Memory of others that is open here.
pub(super) fn imports(
    subject: &mut Subject<'_>,
    book: &mut SiteBook,
    commons: &Commons<'_>,
    device: Device,
) -> Vec<Import> {
    let mut imports: BTreeMap<(Option<Peer>, bool, String), Import> = BTreeMap::new();
    let mut open = OpenBytes::default();
    for one in open_here(subject, commons, device) {
        let from = commons.shared.owner(one).and_then(|export| commons.peer(export.owner));
        let site = book.id(subject, one.share.site);
        let since_ns = subject.identity().realtime(one.share.since);
        let key = (from.clone(), one.likely, site.clone());
        let (likely, bytes, pieces, opens, closes) = (one.likely, 0, 0, 0, 0);
        let new = || Import { from, likely, site, bytes, pieces, opens, closes, since_ns };
        let sum = imports.entry(key).or_insert_with(new);
        add(&mut sum.bytes, open.add(&commons.shared, one));
        sum.pieces += 1;
        add(&mut sum.opens, one.share.times);
        add(&mut sum.closes, one.share.closes);
        sum.since_ns = sum.since_ns.min(since_ns);
    }
    let mut imports: Vec<Import> = imports.into_values().collect();
    imports.sort_by_key(|import| Reverse(import.bytes));
    imports
}

/// Memory of this process that was handed to others.
pub(super) fn exports(
    subject: &mut Subject<'_>,
    book: &mut SiteBook,
    commons: &Commons<'_>,
    device: Device,
) -> Vec<Export> {
    let mut exports: BTreeMap<String, Export> = BTreeMap::new();
    let mut openers: BTreeMap<String, BTreeMap<(Peer, bool), Opener>> = BTreeMap::new();
    let mut counted: BTreeMap<(u64, u64), ()> = BTreeMap::new();
    let mut open = OpenBytes::default();
    let lenders = subject.process.played.state.lenders();
    for export in commons.out(subject, device).collect::<Vec<_>>() {
        let share = &export.share;
        let site = site(subject, book, &lenders, share);
        let since_ns = subject.identity().realtime(share.since);
        let new = || Export {
            site: site.clone(),
            bytes: 0,
            pieces: 0,
            given_back_bytes: 0,
            since_ns,
            opened_by: Vec::new(),
        };
        let sum = exports.entry(site.clone()).or_insert_with(new);
        sum.since_ns = sum.since_ns.min(since_ns);
        // Handed out under two names it is the same memory.
        if counted.insert((share.address, share.birth), ()).is_none() {
            sum.pieces += 1;
            let figure = if share.is_held() { &mut sum.bytes } else { &mut sum.given_back_bytes };
            add(figure, share.size);
        }
        let by = openers.entry(site).or_default();
        for import in commons.shared.openers(export) {
            opened(by, &mut open, commons, import);
        }
    }
    let mut exports: Vec<Export> = exports.into_values().collect();
    for export in &mut exports {
        let by = openers.remove(&export.site).unwrap_or_default();
        export.opened_by = by.into_values().collect();
        export.opened_by.sort_by_key(|opener| Reverse(opener.bytes));
    }
    exports.sort_by_key(|export| Reverse(export.bytes.saturating_add(export.given_back_bytes)));
    exports
}

/// Whose blocks lie in something that was handed out.
pub(super) fn site(
    subject: &mut Subject<'_>,
    book: &mut SiteBook,
    lenders: &Lenders<'_>,
    share: &Share,
) -> String {
    let site = if share.is_held() { lenders.of(share) } else { share.site };
    book.id(subject, site)
}

fn opened(
    by: &mut BTreeMap<(Peer, bool), Opener>,
    open: &mut OpenBytes,
    commons: &Commons<'_>,
    import: &sharing::Import,
) {
    let (Some(peer), Some(process)) = (commons.peer(import.holder), commons.process(import.holder))
    else {
        return;
    };
    let likely = import.likely;
    let since_ns = process.identity.realtime(import.share.since);
    let (bytes, pieces, opens, closes) = (0, 0, 0, 0);
    let new = Opener { by: peer.clone(), likely, bytes, pieces, opens, closes, since_ns };
    let sum = by.entry((peer, likely)).or_insert(new);
    add(&mut sum.opens, import.share.times);
    add(&mut sum.closes, import.share.closes);
    sum.since_ns = sum.since_ns.min(since_ns);
    if import.held {
        add(&mut sum.bytes, open.add(&commons.shared, import));
        sum.pieces += 1;
    }
}
