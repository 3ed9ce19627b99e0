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

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

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
    /// Whether it was never closed, and its holder lives or did not end long before the owner: the
    /// processes of a job end one after the other, and then it was open as long as there was a job.
    pub kept: bool,
    /// Until when it is known to have been open, where it was never closed: `CLOCK_MONOTONIC`, ns.
    pub until: u64,
}

impl Import {
    /// Whether it was open at `time`, `CLOCK_MONOTONIC` ns, as far as anybody watched its holder.
    #[must_use]
    pub fn was_open(&self, time: u64) -> bool {
        self.share.since <= time && self.share.ended.unwrap_or(self.until) > time
    }
}

/// What the processes of a job share.
#[derive(Clone, Debug, Default)]
pub struct Shared {
    /// What they handed out.
    pub exports: Vec<Export>,
    /// What they opened.
    pub imports: Vec<Import>,
}

/// Memory that is the same for all who open it, however often and under whatever name.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Memory {
    /// What this process took at an address or as a handle, and when.
    Of(Instance, u64, u64),
    /// What nobody is known to have handed out, by its name.
    Named(u64),
}

/// Sums bytes that are open, those of the same memory once in each process. Without a name everything
/// that is open is memory of its own.
#[derive(Default)]
pub struct OpenBytes(HashMap<(Instance, Memory), u64>);

impl OpenBytes {
    /// By how many bytes the sum grows with `import`. What one opened as a handle shows only as much of
    /// its size as it mapped, so the largest counts.
    pub fn add(&mut self, shared: &Shared, import: &Import) -> u64 {
        let size = import.share.size;
        let Some(memory) = shared.memory(import) else { return size };
        let known = self.0.entry((import.holder, memory)).or_default();
        let more = size.saturating_sub(*known);
        *known += more;
        more
    }
}

type Uuid = [u64; 2];

/// Processes that end no farther from each other than this end together, ns.
const TOGETHER: u64 = 30_000_000_000;

/// What is known of the end of a process: `CLOCK_MONOTONIC`, ns.
#[derive(Clone, Copy)]
struct Life {
    /// Until when it was seen to live; of one that lives, for ever.
    seen: u64,
    /// By when it had ended; `None` where it lives, or nobody watched.
    ended: Option<u64>,
}

impl Life {
    fn of(process: &Process, ended_by: &BTreeMap<Instance, u64>) -> Self {
        if process.end == End::Running {
            return Self { seen: u64::MAX, ended: None };
        }
        let exited = process.health.exited;
        let watched = ended_by.get(&process.identity.instance);
        let watched = watched.map(|realtime| process.identity.monotonic(*realtime));
        let ended = if exited > 0 { Some(exited) } else { watched };
        Self { seen: process.played.state.now().max(exited), ended }
    }

    fn is_alive(self) -> bool {
        self.seen == u64::MAX
    }

    /// Whether it had ended by `time`; of one that nobody watched that is not known.
    fn is_over(self, time: u64) -> bool {
        self.ended.is_some_and(|ended| ended <= time)
    }
}

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
    /// What a process opened of an owner's.
    opened: HashMap<(Instance, Instance), Opened>,
}

/// What one process opened of another's.
#[derive(Default)]
struct Opened {
    /// Behind the last: all before this were opened, or are gone.
    next: usize,
    /// When those were closed that are not open any more.
    closed: BTreeSet<(u64, usize)>,
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

    /// What `holder` opens at `time`, until `ended`, if only one process can have handed it out: what it
    /// never opened before, else what it closed first.
    fn open(&mut self, holder: Instance, time: u64, ended: Option<u64>) -> Option<usize> {
        let mut others =
            self.there.iter().filter(|(owner, there)| **owner != holder && !there.is_empty());
        let (owner, there) = others.next()?;
        if others.next().is_some() {
            return None;
        }
        let opened = self.opened.entry((holder, *owner)).or_default();
        let mut again = || {
            while let Some((closed, at)) = opened.closed.first().copied()
                && closed <= time
            {
                opened.closed.pop_first();
                if there.contains(&at) {
                    return Some(at);
                }
            }
            None
        };
        let at = there.range(opened.next..).next().copied().or_else(&mut again)?;
        opened.next = opened.next.max(at + 1);
        opened.closed.extend(ended.map(|ended| (ended, at)));
        Some(at)
    }
}

impl Shared {
    /// Joins what `processes` handed out with what they opened. `ended_by` says by when those are known
    /// to have ended that somebody watched, `CLOCK_REALTIME` ns.
    #[must_use]
    pub fn of(processes: &[Process], ended_by: &BTreeMap<Instance, u64>) -> Self {
        let mut shared = Self::default();
        let mut uuids: HashMap<(Instance, u8), Uuid> = HashMap::new();
        for process in processes {
            let instance = process.identity.instance;
            uuids.extend(process.gauges.iter().map(|g| ((instance, g.device), g.uuid)));
            for share in process.played.state.shares() {
                if share.is_import() {
                    let (of, likely, until) = (None, false, u64::MAX);
                    let (held, kept) = (share.is_held(), share.is_held());
                    let import = Import { holder: instance, share, of, likely, held, kept, until };
                    shared.imports.push(import);
                } else {
                    shared.exports.push(Export { owner: instance, share, opened: Vec::new() });
                }
            }
        }
        shared.exports.sort_by_key(|export| export.share.since);
        shared.imports.sort_by_key(|import| import.share.since);
        shared.join_by_name();
        shared.join_the_likely(&uuids);
        let life = |process: &Process| (process.identity.instance, Life::of(process, ended_by));
        shared.close_of_the_dead(&processes.iter().map(life).collect());
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
                alike.open(import.holder, share.since, share.ended)
            });
            let Some(of) = of else { continue };
            (import.of, import.likely) = (Some(of), true);
            self.exports[of].opened.push(at);
        }
    }

    fn close_of_the_dead(&mut self, lives: &HashMap<Instance, Life>) {
        for import in &mut self.imports {
            let Some(holder) = lives.get(&import.holder) else { continue };
            import.until = holder.ended.unwrap_or(holder.seen);
            let owner = import.of.and_then(|of| lives.get(&self.exports[of].owner));
            let Some(owner) = owner.filter(|_| !holder.is_alive()) else { continue };
            import.held &= !(owner.is_alive() || holder.is_over(owner.seen));
            let long_before = owner.seen.saturating_sub(TOGETHER);
            import.kept &= !(owner.is_alive() || holder.is_over(long_before));
        }
    }

    /// Who opened something that was handed out.
    pub fn openers(&self, export: &Export) -> impl Iterator<Item = &Import> {
        export.opened.iter().map(|at| &self.imports[*at])
    }

    /// What was opened, where that is known.
    fn memory(&self, import: &Import) -> Option<Memory> {
        let of = self.owner(import).filter(|_| !import.likely);
        let of =
            of.map(|export| Memory::Of(export.owner, export.share.address, export.share.birth));
        let name = import.share.identity;
        of.or_else(|| (name != 0).then_some(Memory::Named(name)))
    }

    /// Whose something is that was opened.
    #[must_use]
    pub fn owner(&self, import: &Import) -> Option<&Export> {
        import.of.map(|at| &self.exports[at])
    }
}
