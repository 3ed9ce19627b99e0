//! Stacks, as ids of the trie in the process's file.

mod memo;
mod modules;
mod native;
pub mod python;
mod switch;

use core::sync::atomic::AtomicU64;
use wire::{
    arena::Arena,
    code::Codes,
    header::{ARENA_NEXT, Counter, MODULES_NEXT, PYTHON_STATE, PYTHON_VERSION},
    layout::Sections,
    module::Modules,
    record::{NO_STACK, STACK_LOST},
    trie::{FrameKind, Node, Trie},
};

use crate::{counters::Counters, maps};
use {memo::Memo, modules::Executables, python::Python, switch::Switchers};

/// Code that is left out of stacks: the shim's and the recorder's own.
#[derive(Clone, Copy, Debug, Default)]
pub struct Inside([(u64, u64); 2]);

impl Inside {
    /// The executable mappings in which `addresses` lie.
    #[must_use]
    pub fn around(addresses: [usize; 2]) -> Self {
        let mut ranges = [(0, 0); 2];
        maps::each(|line| {
            for (range, address) in ranges.iter_mut().zip(addresses) {
                if line.executable && (line.start..line.end).contains(&(address as u64)) {
                    *range = (line.start, line.end);
                }
            }
            true
        });
        Self(ranges)
    }

    fn contains(&self, address: u64) -> bool {
        self.0.iter().any(|(start, end)| (*start..*end).contains(&address))
    }
}

/// Takes stacks of the calling thread.
pub struct Stacks<'a> {
    trie: Trie<'a>,
    codes: Codes<'a>,
    arena: Arena<'a>,
    executables: Executables<'a>,
    counters: Counters<'a>,
    inside: Inside,
    switchers: Switchers,
    python: Python<'a>,
    memo: Memo,
}

impl<'a> Stacks<'a> {
    /// Stacks into the tables of `sections`; `None` if the header is too short.
    pub fn new(sections: &Sections<'a>, counters: Counters<'a>, inside: Inside) -> Option<Self> {
        let word = |at| -> Option<&'a AtomicU64> { sections.header.get(at) };
        let arena = Arena::new(sections.arena, word(ARENA_NEXT)?);
        let modules = Modules::new(sections.modules, word(MODULES_NEXT)?);
        let stacks = Self {
            trie: Trie::new(sections.nodes),
            codes: Codes::new(sections.codes),
            arena,
            executables: Executables::new(modules, arena, counters),
            counters,
            inside,
            switchers: Switchers::new(),
            python: Python::new(word(PYTHON_VERSION)?, word(PYTHON_STATE)?),
            memo: Memo::new(),
        };
        stacks.executables.refresh();
        stacks.python.look();
        Some(stacks)
    }

    /// The stacks of the calling thread that are wanted, native and Python; [`NO_STACK`] for the
    /// others.
    pub fn take(&self, native: bool, python: bool) -> (u32, u32) {
        let (native, whole) = if native { self.native() } else { (NO_STACK, true) };
        let python = if python { self.python() } else { NO_STACK };
        // A native stack keeps its innermost frames, and what called those the Python stack tells.
        if !whole && python == NO_STACK {
            self.counters.count(Counter::StackTruncated);
        }
        (native, python)
    }

    /// The native stack of the calling thread, and whether all of it is there.
    fn native(&self) -> (u32, bool) {
        let mut frames = [0; native::DEPTH];
        self.switchers.look();
        let (depth, whole) = native::walk(&mut frames, &self.inside, &self.switchers);
        let frames = frames.get(..depth).unwrap_or_default();
        let mut unknown = None;
        let mut id = NO_STACK;
        for frame in frames.iter().rev() {
            let node = Node { parent: id, kind: FrameKind::Native, frame: *frame };
            let Some((next, new)) = self.trie.intern(&node) else {
                self.counters.count(Counter::TrieFull);
                return (STACK_LOST, whole);
            };
            if new && !self.executables.covers(*frame) {
                unknown = Some(*frame);
            }
            id = next;
        }
        if let Some(address) = unknown
            && self.executables.refresh_for(address)
        {
            // A library that came later may have brought the interpreter.
            self.python.look();
        }
        (id, whole)
    }

    /// The Python stack of the calling thread; [`NO_STACK`] where there is none.
    fn python(&self) -> u32 {
        let Some(walker) = self.python.walker() else { return NO_STACK };
        let Some(hash) = walker.fingerprint() else { return self.python_lost() };
        if hash == python::NO_FRAMES {
            return NO_STACK;
        }
        if let Some(id) = self.memo.get(hash) {
            return id;
        }
        let id = self.intern(&walker);
        // A full table stays full, so the loss is remembered like any id.
        self.memo.put(hash, id);
        id
    }

    fn intern(&self, walker: &python::Walker<'_>) -> u32 {
        let mut frames = [python::Frame::default(); python::DEPTH];
        let (depth, whole) = walker.collect(&mut frames);
        if !whole {
            self.counters.count(Counter::StackTruncated);
        }
        let mut id = NO_STACK;
        for frame in frames.get(..depth).unwrap_or_default().iter().rev() {
            let copy = || Some(walker.copy(frame, &self.arena, &self.counters));
            let Some(code) = self.codes.intern(frame.code, frame.fingerprint, copy) else {
                self.counters.count(Counter::CodesFull);
                return STACK_LOST;
            };
            let frame = u64::from(code) << 32 | u64::from(frame.offset);
            let node = Node { parent: id, kind: FrameKind::Python, frame };
            let Some((next, _)) = self.trie.intern(&node) else {
                self.counters.count(Counter::TrieFull);
                return STACK_LOST;
            };
            id = next;
        }
        id
    }

    /// The interpreter's memory is not as its version says: no Python frames from here on.
    fn python_lost(&self) -> u32 {
        self.python.give_up();
        NO_STACK
    }
}
