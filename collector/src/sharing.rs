//! Who holds whose memory: what the processes of a job handed out, joined with what others opened.
//!
//! ```text
//! exporter                          importer
//! Share { identity 7, … }  ◀──────  Share { identity 7, … }        the same name on both sides
//! Share { identity 0, … }  ◀- - -   Share { identity 0, … }        likely: same GPU and size, one
//!                                                                  exporter only, handed out before
//! ```
//!
//! All processes of a machine have one `CLOCK_MONOTONIC`. A name may come again when what it meant is
//! gone, so of several exports of one name an import is of the newest that is older than itself.

use std::collections::{BTreeSet, HashMap};

use crate::{
    ledger::{End, Instance},
    process::Process,
    state::Share,
};

/// Something that was handed out, and who opened it.
#[derive(Clone, Debug)]
pub struct Export {
    /// The process that owns it.
    pub owner: Instance,
    /// What it handed out.
    pub share: Share,
    /// Imports of it, as places in [`Shared::imports`].
    pub opened: Vec<usize>,
}

/// Something that was opened, and whose it is.
#[derive(Clone, Debug)]
pub struct Import {
    /// The process that opened it.
    pub holder: Instance,
    /// What it opened.
    pub share: Share,
    /// Its export, as a place in [`Shared::exports`]; `None` where nobody is known to have handed it out.
    pub of: Option<usize>,
    /// Whether that is only likely.
    pub likely: bool,
    /// Whether it is open still, or was when the last of both sides ended: a process that ends closes
    /// what it has open.
    pub held: bool,
}

/// What the processes of a job share.
#[derive(Clone, Debug, Default)]
pub struct Shared {
    /// What they handed out.
    pub exports: Vec<Export>,
    /// What they opened.
    pub imports: Vec<Import>,
}

type Uuid = [u64; 2];

impl Shared {
    /// Joins what `processes` handed out with what they opened.
    #[must_use]
    pub fn of(processes: &[Process]) -> Self {
        let mut shared = Self::default();
        let mut uuids: HashMap<(Instance, u8), Uuid> = HashMap::new();
        for process in processes {
            let instance = process.identity.instance;
            uuids.extend(process.gauges.iter().map(|g| ((instance, g.device), g.uuid)));
            for share in process.played.state.shares() {
                if share.is_import() {
                    let (of, likely, held) = (None, false, share.is_held());
                    shared.imports.push(Import { holder: instance, share, of, likely, held });
                } else {
                    shared.exports.push(Export { owner: instance, share, opened: Vec::new() });
                }
            }
        }
        shared.exports.sort_by_key(|export| export.share.since);
        shared.imports.sort_by_key(|import| import.share.since);
        shared.join_by_name();
        shared.join_the_likely(&uuids);
        let running: BTreeSet<Instance> = processes
            .iter()
            .filter(|process| process.end == End::Running)
            .map(|process| process.identity.instance)
            .collect();
        shared.close_of_the_dead(&running);
        shared
    }

    fn join_by_name(&mut self) {
        let mut named: HashMap<u64, Vec<usize>> = HashMap::new();
        for (at, export) in self.exports.iter().enumerate().filter(|(_, e)| e.share.identity != 0) {
            named.entry(export.share.identity).or_default().push(at);
        }
        for (at, import) in self.imports.iter_mut().enumerate() {
            let all = named.get(&import.share.identity).map_or(&[][..], Vec::as_slice);
            let before = |of: &&usize| {
                let Export { owner, share, .. } = &self.exports[**of];
                *owner != import.holder && share.since <= import.share.since
            };
            import.of = all.iter().rev().find(before).copied();
            if let Some(of) = import.of {
                self.exports[of].opened.push(at);
            }
        }
    }

    fn join_the_likely(&mut self, uuids: &HashMap<(Instance, u8), Uuid>) {
        let uuid = |of: Instance, share: &Share| uuids.get(&(of, share.device)).copied();
        let mut exports: HashMap<(u64, Option<Uuid>), Vec<usize>> = HashMap::new();
        for (at, export) in self.exports.iter().enumerate().filter(|(_, e)| e.share.identity == 0) {
            let key = (export.share.size, uuid(export.owner, &export.share));
            exports.entry(key).or_default().push(at);
        }
        for at in 0..self.imports.len() {
            let Import { holder, share, .. } = &self.imports[at];
            if share.identity != 0 || share.size == 0 {
                continue;
            }
            let key = (share.size, uuid(*holder, share));
            let all = exports.get(&key).map_or(&[][..], Vec::as_slice);
            let there = |of: &&usize| {
                let Export { owner, share: out, .. } = &self.exports[**of];
                owner != holder
                    && out.since <= share.since
                    && out.ended.is_none_or(|ended| ended > share.since)
            };
            let owners: BTreeSet<Instance> =
                all.iter().filter(there).map(|of| self.exports[*of].owner).collect();
            // A process opens each only once, so long as it has it.
            let is_new = |of: &&usize| {
                !self.openers(&self.exports[**of]).any(|other| other.holder == *holder)
            };
            let first = all.iter().filter(there).find(is_new).copied();
            let Some(of) = first.filter(|_| owners.len() == 1) else { continue };
            (self.imports[at].of, self.imports[at].likely) = (Some(of), true);
            self.exports[of].opened.push(at);
        }
    }

    fn close_of_the_dead(&mut self, running: &BTreeSet<Instance>) {
        for import in &mut self.imports {
            let outlived = import.of.is_some_and(|of| running.contains(&self.exports[of].owner));
            import.held &= running.contains(&import.holder) || !outlived;
        }
    }

    /// Who opened something that was handed out.
    pub fn openers(&self, export: &Export) -> impl Iterator<Item = &Import> {
        export.opened.iter().map(|at| &self.imports[*at])
    }

    /// Whose something is that was opened.
    #[must_use]
    pub fn owner(&self, import: &Import) -> Option<&Export> {
        import.of.map(|at| &self.exports[at])
    }
}
