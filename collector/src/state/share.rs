//! Memory that goes between processes, as one of them sees it: what it handed out, what it opened.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use wire::record::Class;

use super::{Device, Site, piece::Piece};

/// Ended ones kept, the last: who closed what, and what was given back while others had it open. Of names
/// that were opened before those as many are counted.
const KEPT: usize = 4096;

/// Births as a free's record and as an allocation tell them may differ by rounding, ns.
const ROUNDING: u64 = 2_000;

/// Something that a process handed to others or opened from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// What both sides know it by; 0 if there is nothing.
    pub identity: u64,
    /// What it is.
    pub class: Class,
    /// Its address or handle in this process.
    pub address: u64,
    /// Where.
    pub device: Device,
    /// Bytes; 0 while nobody knows.
    pub size: u64,
    /// Who took it from the driver, or opened it.
    pub site: Site,
    /// When it was taken or opened first, ns of `CLOCK_MONOTONIC`.
    pub birth: u64,
    /// When it was handed out or opened first.
    pub since: u64,
    /// How often it was handed out or opened.
    pub times: u64,
    /// How often it was closed; 0 for what was handed out.
    pub closes: u64,
    /// When it was given back or closed for the last time.
    pub ended: Option<u64>,
    /// When each open that has not been closed was made.
    open: BTreeSet<u64>,
    /// The open that was closed last, should the close turn out to have failed.
    closed: Option<u64>,
    /// The newest time that counted.
    last: u64,
}

impl Share {
    pub(super) fn exported(thing: Thing, identity: u64, time: u64) -> Self {
        let Thing { class, address, device, size, site, birth } = thing;
        let (since, last, times) = (time, time, 1);
        let (closes, ended, open, closed) = (0, None, BTreeSet::new(), None);
        Self {
            identity,
            class,
            address,
            device,
            size,
            site,
            birth,
            since,
            times,
            closes,
            ended,
            open,
            closed,
            last,
        }
    }

    pub(super) fn imported(thing: Thing, identity: u64) -> Self {
        let opened = thing.birth;
        Self { open: BTreeSet::from([opened]), ..Self::exported(thing, identity, opened) }
    }

    /// Whether another process owns it.
    #[must_use]
    pub fn is_import(&self) -> bool {
        is_import(self.class)
    }

    /// Whether it is handed out, or open, now.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.ended.is_none()
    }
}

/// Whether memory of this class is another process's, whose name may be known.
pub(super) const fn is_import(class: Class) -> bool {
    matches!(class, Class::IpcImport | Class::ImportedHandle | Class::ImportedBlock)
}

/// What is handed out or opened, as the driver gave it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Thing {
    pub class: Class,
    pub address: u64,
    pub device: Device,
    pub size: u64,
    pub site: Site,
    pub birth: u64,
}

/// All that a process shares, and what it shared last.
#[derive(Clone, Debug, Default)]
pub(super) struct Shares {
    now: BTreeMap<(Class, u64), Vec<Share>>,
    past: VecDeque<Share>,
    /// How often each name was opened and closed by those that are not kept, by class and name: what is
    /// opened and closed in each step of a long job.
    before: BTreeMap<(Class, u64), Share>,
}

impl Shares {
    /// Those held now, then the last ones that are not, and then what came before, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Share> {
        self.now.values().flatten().chain(&self.past).chain(self.before.values())
    }

    fn at(&mut self, class: Class, address: u64) -> &mut Vec<Share> {
        self.now.entry((class, address)).or_default()
    }

    /// Adds what was handed out, or one more time of it.
    pub fn export(&mut self, share: Share) {
        let all = self.at(share.class, share.address);
        match all.iter_mut().find(|known| known.identity == share.identity) {
            Some(known) if share.since > known.last => {
                known.times += 1;
                known.last = share.since;
            }
            Some(_) => {}
            None => all.push(share),
        }
    }

    /// Adds what was opened, or one more open of it. Returns whether it was open already.
    pub fn import(&mut self, share: Share) -> bool {
        let all = self.at(share.class, share.address);
        let known = all.iter_mut().find(|known| known.identity == share.identity);
        let Some(known) = known else {
            all.push(share);
            return false;
        };
        if known.open.insert(share.birth) {
            known.times += 1;
            known.birth = known.birth.min(share.birth);
            known.since = known.birth;
        }
        true
    }

    /// One open of it, made at `birth`, was closed. Returns whether none is left.
    pub fn close(&mut self, class: Class, address: u64, birth: u64) -> bool {
        let Some(share) = self.now.get_mut(&(class, address)).and_then(|all| all.last_mut()) else {
            return true;
        };
        let about = birth.saturating_sub(ROUNDING)..=birth.saturating_add(ROUNDING);
        // One that is not there was closed already, and others are left.
        let Some(found) = share.open.range(about).next().copied() else {
            return share.open.is_empty();
        };
        share.open.remove(&found);
        share.closed = Some(found);
        share.closes += 1;
        share.open.is_empty()
    }

    /// Tells each that is held its size, as far as `known` knows it: it may be larger than it was at first.
    pub fn measure(&mut self, known: impl Fn(&Share) -> u64) {
        for share in self.now.values_mut().flatten() {
            share.size = share.size.max(known(share));
        }
    }

    /// What was taken away: all of it that was shared is so no more.
    pub fn end(&mut self, piece: &Piece, time: u64) {
        let Some((class, address, birth)) = thing_of(piece) else { return };
        let Some(mut all) = self.now.remove(&(class, address)) else { return };
        // What is younger than what ended only has its address; and of two handles of one name it is
        // the one that was taken then.
        let is_it = |share: &Share| match class {
            Class::Handle | Class::ImportedHandle => share.birth == birth,
            _ => share.birth <= birth,
        };
        let (ended, left): (Vec<Share>, Vec<Share>) = all.drain(..).partition(is_it);
        if !left.is_empty() {
            self.now.insert((class, address), left);
        }
        // What was imported as a handle had no size when it was opened.
        let size = if let Piece::Handle(_, handle) = piece { handle.unit.size } else { 0 };
        let sized = |share: Share| Share { size: share.size.max(size), ..share };
        ended.into_iter().for_each(|share| self.pass(sized(share), time));
    }

    /// Ends those that `gone` says are gone.
    pub fn end_where(&mut self, time: u64, gone: impl Fn(&Share) -> bool) {
        for (key, all) in std::mem::take(&mut self.now) {
            let (ended, left): (Vec<Share>, Vec<Share>) = all.into_iter().partition(&gone);
            if !left.is_empty() {
                self.now.insert(key, left);
            }
            ended.into_iter().for_each(|share| self.pass(share, time));
        }
    }

    fn pass(&mut self, mut share: Share, time: u64) {
        share.closes += share.open.len() as u64;
        share.closed = share.open.pop_last().or(share.closed);
        share.open.clear();
        share.ended = Some(time);
        if self.past.len() == KEPT
            && let Some(oldest) = self.past.pop_front()
        {
            self.only_count(oldest);
        }
        self.past.push_back(share);
    }

    /// Adds what is not kept to the counts of its name.
    fn only_count(&mut self, share: Share) {
        let key = (share.class, share.identity);
        let has_room = self.before.len() < KEPT || self.before.contains_key(&key);
        if share.identity == 0 || !share.is_import() || !has_room {
            return;
        }
        let (times, closes, ended) = (share.times, share.closes, share.ended);
        let sum = self.before.entry(key).or_insert(Share { times: 0, closes: 0, ..share });
        sum.times = sum.times.saturating_add(times);
        sum.closes = sum.closes.saturating_add(closes);
        // When it was open between the first and the last is not known any more: at no time.
        (sum.since, sum.ended) = (ended.unwrap_or(sum.since), ended);
    }

    /// What was taken away is there again: the call failed.
    pub fn put_back(&mut self, piece: &Piece) {
        let Some((class, address, _)) = thing_of(piece) else { return };
        let is_it = |share: &Share| (share.class, share.address) == (class, address);
        let Some(at) = self.past.iter().rposition(is_it) else { return };
        let Some(mut share) = self.past.remove(at) else { return };
        share.ended = None;
        share.reopen();
        self.at(class, address).push(share);
    }

    /// An open of it that seemed closed is not.
    pub fn reopen(&mut self, class: Class, address: u64) {
        let all = self.now.get_mut(&(class, address)).into_iter().flatten();
        all.for_each(Share::reopen);
    }

    /// Carries over the past of `before`; what is not shared any more ended at `time`.
    pub fn inherit(&mut self, before: Self, time: u64) {
        self.past = before.past;
        self.before = before.before;
        for old in before.now.into_values().flatten() {
            let all = self.now.get_mut(&(old.class, old.address));
            let same = |new: &&mut Share| new.identity == old.identity;
            match all.into_iter().flatten().find(same) {
                Some(new) => new.inherit(&old),
                None => self.pass(old, time),
            }
        }
    }
}

impl Share {
    fn reopen(&mut self) {
        if let Some(open) = self.closed.take() {
            self.open.insert(open);
            self.closes = self.closes.saturating_sub(1);
        }
    }

    fn inherit(&mut self, old: &Self) {
        self.since = self.since.min(old.since);
        self.birth = self.birth.min(old.birth);
        self.last = self.last.max(old.last);
        if self.is_import() {
            let more = self.open.difference(&old.open).count() as u64;
            self.times = old.times + more;
            self.closes = self.times - self.open.len() as u64;
        } else {
            self.times = self.times.max(old.times);
        }
    }
}

/// Class, address and birth of what a piece was, if that can be shared.
fn thing_of(piece: &Piece) -> Option<(Class, u64, u64)> {
    Some(match piece {
        Piece::Unit(address, unit) => (unit.class, *address, unit.birth),
        Piece::Handle(_, handle) => (handle.unit.class, handle.name, handle.unit.birth),
        Piece::Pool(address, pool) => (Class::Pool, *address, pool.birth),
        Piece::PoolBlock(span) => (Class::PoolBlock, span.start, span.value.birth),
        Piece::Reference(..) | Piece::Mapping(_) | Piece::Reservation(_) => return None,
    })
}
