//! Virtual memory management: handles hold bytes, mappings give them addresses, reservations keep
//! addresses together.
//!
//! A handle lives while the program has a reference or a mapping is left. When only mappings are
//! left it has no name any more: the driver may give its value to a new handle. So handles have ids
//! of our own here, and mappings point at those. Of several references only the end of the last is
//! recorded, and the first after that.
//!
//! ```text
//! create h ─▶ {h, named} ─map─▶ {h, named, 1 mapping} ─release─▶ {nameless, 1 mapping} ─unmap─▶ gone
//! ```

use std::collections::{BTreeMap, HashMap, hash_map::Entry};

use wire::record::Class;

use super::{
    Device,
    apply::bytes,
    book::Books,
    piece::Piece,
    range::{Born, Ranges, Span},
    unit::{Standing, Unit},
};

/// Our own name of a handle; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct HandleId(u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Handle {
    pub unit: Unit,
    /// The driver's value for it.
    pub name: u64,
    /// The program has a reference to it, so that the value means this handle and no other.
    pub named: bool,
    /// Mappings and bindings.
    pub mappings: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mapping {
    pub handle: HandleId,
    pub birth: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reservation {
    pub birth: u64,
    /// A block of PyTorch's ever lay in it.
    pub holds_blocks: bool,
}

/// What a multicast object, a logical endpoint or a sparse array keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Binding {
    pub handle: HandleId,
    pub size: u64,
    pub birth: u64,
}

/// What was bound: the handle's value, or with 0 what is mapped at an address.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bound {
    pub handle: u64,
    pub address: u64,
}

impl Born for Mapping {
    fn birth(&self) -> u64 {
        self.birth
    }
}

impl Born for Reservation {
    fn birth(&self) -> u64 {
        self.birth
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Vmm {
    handles: BTreeMap<HandleId, Handle>,
    named: HashMap<u64, HandleId>,
    /// The newest handle that had this value and that only mappings or bindings keep.
    nameless: HashMap<u64, HandleId>,
    mappings: Ranges<Mapping>,
    reservations: Ranges<Reservation>,
    /// By device and by where they lie in their object or array.
    bindings: BTreeMap<(Device, u64), Binding>,
    next: u64,
}

impl Vmm {
    pub fn handles(&self) -> &BTreeMap<HandleId, Handle> {
        &self.handles
    }

    /// The handle that has this name now.
    pub fn by_name(&self, name: u64) -> Option<(HandleId, &Handle)> {
        let id = self.named.get(&name)?;
        Some((*id, self.handles.get(id)?))
    }

    /// The handle of this name that was taken at `birth`, also if only mappings or bindings keep it.
    pub fn born(&self, name: u64, birth: u64) -> Option<(HandleId, &Handle)> {
        let ids = [self.named.get(&name), self.nameless.get(&name)];
        let handle = |id: &HandleId| Some((*id, self.handles.get(id)?));
        ids.into_iter().flatten().filter_map(handle).find(|(_, one)| one.unit.birth == birth)
    }

    pub fn mappings(&self) -> &Ranges<Mapping> {
        &self.mappings
    }

    pub fn reservations(&self) -> &Ranges<Reservation> {
        &self.reservations
    }

    pub fn unit_mut(&mut self, id: HandleId) -> Option<&mut Unit> {
        self.handles.get_mut(&id).map(|handle| &mut handle.unit)
    }

    pub fn units_mut(&mut self) -> impl Iterator<Item = &mut Unit> {
        self.handles.values_mut().map(|handle| &mut handle.unit)
    }

    /// A handle with the program's references to it; none for one that only mappings keep.
    pub fn create(&mut self, name: u64, unit: Unit, named: bool, books: &mut Books) -> HandleId {
        if named && let Some(id) = self.named.get(&name).copied() {
            if let Some(known) = self.handles.get_mut(&id)
                && known.unit.birth >= unit.birth
            {
                if known.unit.birth > unit.birth {
                    return id;
                }
                // The same event once more: what has been learned about the handle stays.
                books.give_back(&known.unit);
                let size = match unit.class {
                    Class::ImportedHandle => unit.size.max(known.unit.size),
                    _ => unit.size,
                };
                known.unit = Unit { standing: known.unit.standing, size, ..unit };
                books.take(&known.unit);
                return id;
            }
            // Its release was missed.
            self.named.remove(&name);
            self.update(id, books, |handle| handle.named = false);
        }
        let id = HandleId(self.next);
        self.next += 1;
        self.put(id, Handle { unit, name, named, mappings: 0 }, books);
        id
    }

    fn put(&mut self, id: HandleId, handle: Handle, books: &mut Books) {
        books.take(&handle.unit);
        let names = if handle.named { &mut self.named } else { &mut self.nameless };
        names.insert(handle.name, id);
        self.handles.insert(id, handle);
    }

    /// Changes a handle, and takes it out if nothing keeps it then.
    fn update(
        &mut self,
        id: HandleId,
        books: &mut Books,
        change: impl FnOnce(&mut Handle),
    ) -> Option<Handle> {
        let handle = self.handles.get_mut(&id)?;
        change(handle);
        let handle = *handle;
        if !handle.named && self.named.get(&handle.name) == Some(&id) {
            self.named.remove(&handle.name);
            self.nameless.insert(handle.name, id);
        }
        if handle.named || handle.mappings > 0 {
            return None;
        }
        if self.nameless.get(&handle.name) == Some(&id) {
            self.nameless.remove(&handle.name);
        }
        books.give_back(&handle.unit);
        self.handles.remove(&id)
    }

    /// The handle that had this name at `time`; one that is younger only has it now.
    fn named(&self, name: u64, time: u64) -> Option<HandleId> {
        let id = self.named.get(&name)?;
        (self.handles.get(id)?.unit.birth <= time).then_some(*id)
    }

    /// The program gives back its last reference.
    pub fn release(&mut self, name: u64, time: u64, books: &mut Books) -> Vec<Piece> {
        let Some(id) = self.named(name, time) else { return Vec::new() };
        let ended = self.update(id, books, |handle| handle.named = false);
        let ended = ended.map(|handle| Piece::Handle(id, handle));
        ended.into_iter().chain([Piece::Reference(id, name)]).collect()
    }

    /// The program has a reference again to what it had released.
    pub fn retain(&mut self, name: u64, time: u64) {
        let Some(id) = self.nameless.get(&name).copied() else { return };
        let handle = self.handles.get_mut(&id).filter(|handle| handle.unit.birth <= time);
        if let (Some(handle), Entry::Vacant(free)) = (handle, self.named.entry(name)) {
            handle.named = true;
            free.insert(id);
        }
    }

    /// Maps the handle called `name`, from `offset` on. A handle nobody knows (a multicast object,
    /// or one whose event was lost) counts no bytes; `stand_in` says the rest of it.
    pub fn map(
        &mut self,
        (start, size): (u64, u64),
        (name, offset): (u64, u64),
        stand_in: Unit,
        books: &mut Books,
    ) {
        let birth = stand_in.birth;
        if self.mappings.is_past(start, size, birth) {
            return;
        }
        let known = self.mappings.at(start);
        let again =
            known.is_some_and(|at| (at.start, at.size, at.value.birth) == (start, size, birth));
        let id = match self.named(name, birth) {
            Some(id) => id,
            // The same event once more, and its handle has lost its name since.
            None if again => return,
            None => self.create(0, Unit { size: 0, ..stand_in }, false, books),
        };
        self.map_handle(start, size, Mapping { handle: id, birth }, books);
        // What was imported shows its size only here.
        let end = bytes(offset.saturating_add(size));
        if let Some(unit) = self.unit_mut(id)
            && unit.class == Class::ImportedHandle
            && unit.size < end
        {
            books.give_back(unit);
            unit.size = end;
            books.take(unit);
        }
    }

    /// Maps a handle known by our own id.
    pub fn map_handle(&mut self, start: u64, size: u64, mapping: Mapping, books: &mut Books) {
        // Before the old mappings go: one of them may be all that keeps the handle.
        self.update(mapping.handle, books, |handle| handle.mappings += 1);
        for gone in self.mappings.insert(start, size, mapping) {
            self.unlink(&gone, books);
        }
        if self.reservations.at(start).is_some_and(|around| around.value.holds_blocks) {
            self.promote(mapping.handle, books);
        }
    }

    fn unlink(&mut self, gone: &Span<Mapping>, books: &mut Books) -> Option<Handle> {
        self.let_go(gone.value.handle, books)
    }

    /// One mapping or binding of a handle less.
    fn let_go(&mut self, id: HandleId, books: &mut Books) -> Option<Handle> {
        self.update(id, books, |handle| handle.mappings = handle.mappings.saturating_sub(1))
    }

    /// Takes out the mappings that begin in `start..start + size`.
    pub fn unmap(&mut self, start: u64, size: u64, time: u64, books: &mut Books) -> Vec<Piece> {
        let over = self.mappings.over(start, size.max(1));
        let inside = over.filter(|span| span.start >= start && span.value.birth <= time);
        let inside: Vec<u64> = inside.map(|span| span.start).collect();
        let mut pieces = Vec::new();
        for span in inside.into_iter().filter_map(|at| self.mappings.remove(at)).collect::<Vec<_>>()
        {
            let ended = self.unlink(&span, books);
            pieces.extend(ended.map(|handle| Piece::Handle(span.value.handle, handle)));
            pieces.push(Piece::Mapping(span));
        }
        pieces
    }

    /// Binds memory to a multicast object, an endpoint or a sparse array. What nobody knows counts nothing.
    pub fn bind(
        &mut self,
        place: (Device, u64),
        size: u64,
        what: Bound,
        birth: u64,
        books: &mut Books,
    ) {
        let handle = match what.handle {
            0 => self.mappings.at(what.address).map(|span| span.value.handle),
            name => self.named(name, birth),
        };
        if let Some(handle) = handle {
            self.bind_handle(place, Binding { handle, size, birth }, books);
        }
    }

    /// Binds a handle known by our own id.
    pub fn bind_handle(&mut self, place: (Device, u64), binding: Binding, books: &mut Books) {
        if self.bindings.get(&place).is_some_and(|known| known.birth > binding.birth) {
            return;
        }
        // Before the old binding goes: it may be all that keeps the handle.
        self.update(binding.handle, books, |handle| handle.mappings += 1);
        if let Some(gone) = self.bindings.insert(place, binding) {
            self.let_go(gone.handle, books);
        }
    }

    /// Takes out a binding, unless it is younger than `time`.
    pub fn unbind(&mut self, place: (Device, u64), time: u64, books: &mut Books) {
        if self.bindings.get(&place).is_some_and(|known| known.birth <= time)
            && let Some(gone) = self.bindings.remove(&place)
        {
            self.let_go(gone.handle, books);
        }
    }

    pub fn reserve(&mut self, start: u64, size: u64, birth: u64) {
        if self.reservations.is_past(start, size, birth) {
            return;
        }
        let known = self.reservations.at(start);
        let again = known.filter(|at| at.start == start && at.value.birth == birth);
        let holds_blocks = again.is_some_and(|at| at.value.holds_blocks);
        self.reservations.insert(start, size, Reservation { birth, holds_blocks });
    }

    pub fn unreserve(&mut self, start: u64, time: u64) -> Vec<Piece> {
        let gone = self.reservations.remove_if(start, |reservation| reservation.birth <= time);
        gone.map(Piece::Reservation).into_iter().collect()
    }

    /// A block lies at `start..start + size`: the reservation around it, or without one the
    /// mappings under it, belong to PyTorch's allocator.
    pub fn mark(&mut self, start: u64, size: u64, books: &mut Books) {
        let (start, size) = match self.reservations.at_mut(start) {
            Some(around) if around.value.holds_blocks => return,
            Some(around) => {
                around.value.holds_blocks = true;
                (around.start, around.size)
            }
            None => (start, size),
        };
        let under: Vec<HandleId> =
            self.mappings.over(start, size).map(|span| span.value.handle).collect();
        under.into_iter().for_each(|id| self.promote(id, books));
    }

    fn promote(&mut self, id: HandleId, books: &mut Books) {
        if let Some(handle) = self.handles.get_mut(&id) {
            books.restand(&mut handle.unit, Standing::Allocator);
        }
    }

    /// Puts back what a free that failed had taken out.
    pub fn put_back(&mut self, piece: Piece, books: &mut Books) {
        match piece {
            Piece::Handle(id, handle) => self.put(id, handle, books),
            Piece::Mapping(span) => self.map_handle(span.start, span.size, span.value, books),
            Piece::Reservation(span) => {
                self.reservations.insert(span.start, span.size, span.value);
            }
            Piece::Reference(id, name) => {
                self.named.insert(name, id);
                self.update(id, books, |handle| {
                    (handle.name, handle.named) = (name, true);
                });
            }
            Piece::Unit(..) | Piece::PoolBlock(_) | Piece::Pool(..) => {}
        }
    }

    /// Takes out handles that nothing keeps: what a damaged live set may hold.
    pub fn drop_unkept(&mut self, books: &mut Books) {
        let ids: Vec<HandleId> = self.handles.keys().copied().collect();
        for id in ids {
            self.update(id, books, |_| ());
        }
    }

    /// Memory no block is known to lie in is direct.
    pub fn settle_all(&mut self, books: &mut Books) {
        for handle in self.handles.values_mut().filter(|handle| handle.unit.is_fresh()) {
            books.restand(&mut handle.unit, Standing::Direct);
        }
    }

    /// Carries over from `before` which memory PyTorch's allocator holds.
    pub fn inherit(&mut self, before: &Self, books: &mut Books) {
        for old in before.reservations.iter().filter(|old| old.value.holds_blocks) {
            if self.reservations.at(old.start).is_some_and(|new| new.value.birth == old.value.birth)
            {
                self.mark(old.start, old.size, books);
            }
        }
        for old in before.handles.values().filter(|old| old.unit.standing == Standing::Allocator) {
            let same = |new: &Handle| new.name == old.name && new.unit.birth == old.unit.birth;
            let ids: Vec<HandleId> =
                self.handles.iter().filter(|(_, new)| same(new)).map(|(id, _)| *id).collect();
            ids.into_iter().for_each(|id| self.promote(id, books));
        }
    }
}
