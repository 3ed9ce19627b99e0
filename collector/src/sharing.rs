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

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque, hash_map::Entry};

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

/// One of the exports of one name, oldest first.
struct Named {
    /// Its place in [`Shared::exports`].
    at: usize,
    owner: Instance,
    since: u64,
    /// The newest before it of another owner.
    other: Option<usize>,
}

impl Named {
    /// The newest up to this one whose owner is another than `process`.
    fn of_another(&self, process: Instance) -> Option<usize> {
        if self.owner == process { self.other } else { Some(self.at) }
    }
}

/// Exports without a name, of one size on one GPU, while time goes on. They may be as many as a card
/// has segments, and so may be their imports.
#[derive(Default)]
struct Alike {
    /// Those that are not handed out yet, oldest first, as places in [`Shared::exports`].
    all: VecDeque<usize>,
    /// Those that are, by owner.
    there: BTreeMap<Instance, BTreeSet<usize>>,
    /// When they end.
    ends: BTreeSet<(u64, usize)>,
    /// The last that a process opened of an owner's: all before it are open there too, or gone.
    opened: HashMap<(Instance, Instance), usize>,
}

impl Alike {
    /// Time is `time` now, which is no earlier than before.
    fn go_on(&mut self, time: u64, exports: &[Export]) {
        while let Some(at) = self.all.front().copied()
            && exports[at].share.since <= time
        {
            self.all.pop_front();
            self.there.entry(exports[at].owner).or_default().insert(at);
            self.ends.extend(exports[at].share.ended.map(|ended| (ended, at)));
        }
        while let Some((ended, at)) = self.ends.first().copied()
            && ended <= time
        {
            self.ends.pop_first();
            if let Some(there) = self.there.get_mut(&exports[at].owner) {
                there.remove(&at);
            }
        }
    }

    /// What `holder` opens now, if only one process can have handed it out. It opens each only once.
    fn open(&mut self, holder: Instance) -> Option<usize> {
        let mut others =
            self.there.iter().filter(|(owner, there)| **owner != holder && !there.is_empty());
        let (owner, there) = others.next()?;
        if others.next().is_some() {
            return None;
        }
        let last = self.opened.entry((holder, *owner));
        let after = match &last {
            Entry::Occupied(last) => last.get() + 1,
            Entry::Vacant(_) => 0,
        };
        let at = there.range(after..).next().copied()?;
        last.insert_entry(at);
        Some(at)
    }
}

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
        let mut named: HashMap<u64, Vec<Named>> = HashMap::new();
        for (at, export) in self.exports.iter().enumerate().filter(|(_, e)| e.share.identity != 0) {
            let all = named.entry(export.share.identity).or_default();
            let (owner, since) = (export.owner, export.share.since);
            let other = all.last().and_then(|last| last.of_another(owner));
            all.push(Named { at, owner, since, other });
        }
        for (at, import) in self.imports.iter_mut().enumerate() {
            let all = named.get(&import.share.identity).map_or(&[][..], Vec::as_slice);
            let before = all.partition_point(|export| export.since <= import.share.since);
            let newest = all[..before].last();
            import.of = newest.and_then(|newest| newest.of_another(import.holder));
            if let Some(of) = import.of {
                self.exports[of].opened.push(at);
            }
        }
    }

    fn join_the_likely(&mut self, uuids: &HashMap<(Instance, u8), Uuid>) {
        let uuid = |of: Instance, share: &Share| uuids.get(&(of, share.device)).copied();
        let mut alike: HashMap<(u64, Option<Uuid>), Alike> = HashMap::new();
        for (at, export) in self.exports.iter().enumerate().filter(|(_, e)| e.share.identity == 0) {
            let key = (export.share.size, uuid(export.owner, &export.share));
            alike.entry(key).or_default().all.push_back(at);
        }
        for (at, import) in self.imports.iter_mut().enumerate() {
            let share = &import.share;
            if share.identity != 0 || share.size == 0 {
                continue;
            }
            let alike = alike.get_mut(&(share.size, uuid(import.holder, share)));
            let of = alike.and_then(|alike| {
                alike.go_on(share.since, &self.exports);
                alike.open(import.holder)
            });
            let Some(of) = of else { continue };
            (import.of, import.likely) = (Some(of), true);
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
