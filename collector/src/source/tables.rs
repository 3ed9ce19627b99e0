//! What stack ids mean: nodes, code objects and modules, copied when they are first needed.

use std::collections::HashSet;

use wire::{
    arena::Span,
    code, header,
    layout::WORD,
    mark::Mark,
    module,
    record::NO_STACK,
    trie::{FrameKind, Node},
};

use super::{Damage, RingFile};
use crate::ledger::{Additions, Code, Live, Module, clean};
use wire::record::{Class, Record};

/// Longest name or path that is copied, bytes.
const MAX_NAME: usize = 4096;
/// Longest line table that is copied, bytes.
const MAX_LINES: usize = 1 << 20;
/// Code objects that were named while a thread was still writing them, and are looked at again, at
/// most: an honest process has one for each of its threads, and for a moment only.
const MOST_UNWRITTEN: usize = 512;
/// Deepest stack that is followed.
const MAX_DEPTH: usize = 1024;

/// Copies of one ring's tables each entry that is needed, once.
#[derive(Debug)]
pub struct TableReader {
    nodes: HashSet<u32>,
    codes: HashSet<u32>,
    unwritten: Vec<u32>,
    modules: usize,
    /// Bytes of the arena that may still be copied. Spans of an honest file overlap little; those
    /// of a hostile one may all cover the whole arena.
    budget: usize,
    new: Additions,
}

impl TableReader {
    /// A reader of `ring`'s tables that has copied nothing.
    #[must_use]
    pub fn new(ring: &RingFile) -> Self {
        Self {
            nodes: HashSet::new(),
            codes: HashSet::new(),
            unwritten: Vec::new(),
            modules: 0,
            budget: ring.layout().arena_words * WORD * 4,
            new: Additions::default(),
        }
    }

    /// Copies the stacks that `record` names, and the name of a mark.
    ///
    /// # Errors
    /// The file cannot be read any more.
    pub fn record(&mut self, ring: &RingFile, record: &Record) -> Result<(), Damage> {
        if let Some(mark) = Mark::of(record) {
            self.code(ring, mark.name)?;
        }
        self.stacks(ring, record.native, record.python)
    }

    /// Copies two stacks.
    ///
    /// # Errors
    /// The file cannot be read any more.
    pub fn stacks(&mut self, ring: &RingFile, native: u32, python: u32) -> Result<(), Damage> {
        self.stack(ring, native)?;
        self.stack(ring, python)
    }

    /// Copies the stacks that `live` names.
    ///
    /// # Errors
    /// The file cannot be read any more.
    pub fn live(&mut self, ring: &RingFile, live: &Live) -> Result<(), Damage> {
        // A mapping has the index of its handle's entry in the place of a native stack.
        if live.entry.class != Class::Mapping {
            self.stack(ring, live.entry.native)?;
        }
        self.stack(ring, live.entry.python)
    }

    /// What was copied since the last call, and the modules recorded since then.
    ///
    /// # Errors
    /// The file cannot be read any more.
    pub fn take(&mut self, ring: &RingFile) -> Result<Additions, Damage> {
        for index in std::mem::take(&mut self.unwritten) {
            self.copy(ring, index)?;
        }
        let claimed = ring.header_word(header::MODULES_NEXT)?;
        let claimed = usize::try_from(claimed).unwrap_or(usize::MAX).min(ring.layout().modules);
        while self.modules < claimed {
            let at = ring.at().modules + self.modules * wire::layout::MODULE_WORDS;
            // One that is still being written stops us: the order counts.
            let Some(module) = module::Module::decode(&ring.element(at)?) else { break };
            let path = self.text(ring, module.path)?;
            self.new.modules.push(Module {
                start: module.start,
                end: module.end,
                offset: module.offset,
                path,
                inode: module.inode,
            });
            self.modules += 1;
        }
        Ok(std::mem::take(&mut self.new))
    }

    /// The names of the hooked functions by `api` number.
    ///
    /// # Errors
    /// The file cannot be read any more.
    pub fn apis(&mut self, ring: &RingFile) -> Result<Vec<String>, Damage> {
        let span = Span::decode(ring.header_word(header::API_NAMES)?);
        let names = self.bytes(ring, span, MAX_LINES)?;
        Ok(names.split(|byte| *byte == b'\n').map(clean).filter(|name| !name.is_empty()).collect())
    }

    fn stack(&mut self, ring: &RingFile, id: u32) -> Result<(), Damage> {
        let mut id = id;
        for _ in 0..MAX_DEPTH {
            let outside = id as usize >= ring.layout().nodes;
            if id == NO_STACK || outside || !self.nodes.insert(id) {
                return Ok(());
            }
            let at = ring.at().nodes + id as usize * wire::layout::NODE_WORDS;
            let Some(node) = Node::decode(&ring.element(at)?) else { return Ok(()) };
            self.new.nodes.push((id, node));
            if node.kind == FrameKind::Python {
                self.code(ring, (node.frame >> 32) as u32)?;
            }
            id = node.parent;
        }
        Ok(())
    }

    fn code(&mut self, ring: &RingFile, index: u32) -> Result<(), Damage> {
        if index as usize >= ring.layout().codes || !self.codes.insert(index) {
            return Ok(());
        }
        self.copy(ring, index)
    }

    fn copy(&mut self, ring: &RingFile, index: u32) -> Result<(), Damage> {
        let at = ring.at().codes + index as usize * wire::layout::CODE_WORDS;
        let Some(code) = code::Code::decode(&ring.element(at)?) else {
            if self.unwritten.len() < MOST_UNWRITTEN {
                self.unwritten.push(index);
            }
            return Ok(());
        };
        let (name, file) = (self.text(ring, code.name)?, self.text(ring, code.file)?);
        let lines = self.bytes(ring, code.lines, MAX_LINES)?;
        let (first_line, python) = (code.first_line, code.python);
        self.new.codes.push((index, Code { name, file, lines, first_line, python }));
        Ok(())
    }

    fn text(&mut self, ring: &RingFile, span: Span) -> Result<String, Damage> {
        Ok(clean(&self.bytes(ring, span, MAX_NAME)?))
    }

    /// The bytes of a span; nothing for one that leaves the arena or is longer than `most`.
    fn bytes(&mut self, ring: &RingFile, span: Span, most: usize) -> Result<Vec<u8>, Damage> {
        let (first, length) = (span.word as usize, span.length as usize);
        let words = length.div_ceil(WORD);
        if length > most.min(self.budget) || first + words > ring.layout().arena_words {
            return Ok(Vec::new());
        }
        self.budget -= length;
        let words = ring.words(ring.at().arena + first, words)?;
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes.truncate(length);
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;

    use wire::record::Verb;

    use super::*;
    use crate::source::fake::{FakeRing, record};

    #[test]
    fn a_stack_comes_with_its_code_and_only_once() {
        let folder = tempfile::tempdir().unwrap();
        let fake = FakeRing::new([1, 2]);
        let stack = fake.python_stack("forward");
        fake.module(0x1000, 0x2000, "/lib/libc.so.6");
        let ring = fake.open(folder.path());
        let mut tables = TableReader::new(&ring);
        let event = record(Verb::Alloc, Class::Block, 1, 1, stack);
        tables.record(&ring, &event).unwrap();
        let new = tables.take(&ring).unwrap();
        assert_eq!(new.nodes.len(), 1);
        assert_eq!(new.nodes[0].0, stack);
        let (_, code) = &new.codes[0];
        assert_eq!((code.name.as_str(), code.file.as_str()), ("forward", "/srv/job.py"));
        assert_eq!(code.lines, [1, 2, 3]);
        assert_eq!(new.modules[0].path, "/lib/libc.so.6");
        tables.record(&ring, &event).unwrap();
        assert!(tables.take(&ring).unwrap().is_empty());
        assert_eq!(tables.apis(&ring).unwrap(), ["cuMemAlloc_v2", "cuMemFree_v2"]);
    }

    #[test]
    fn a_code_object_that_was_still_being_written_is_looked_at_again() {
        let folder = tempfile::tempdir().unwrap();
        let fake = FakeRing::new([1, 2]);
        let stack = fake.python_stack("forward");
        let codes = fake.sections().codes;
        let written =
            codes.chunks(wire::layout::CODE_WORDS).find(|entry| entry[7].load(Relaxed) > 0);
        let state = &written.unwrap()[7];
        let ready = state.swap(1, Relaxed);
        let ring = fake.open(folder.path());
        let mut tables = TableReader::new(&ring);
        tables.record(&ring, &record(Verb::Alloc, Class::Block, 1, 1, stack)).unwrap();
        assert_eq!(tables.take(&ring).unwrap().codes, []);
        assert_eq!(tables.take(&ring).unwrap().codes, []);
        state.store(ready, Relaxed);
        fake.open(folder.path());
        assert_eq!(tables.take(&ring).unwrap().codes[0].1.name, "forward");
        assert_eq!(tables.take(&ring).unwrap().codes, []);
    }

    #[test]
    fn a_span_that_leaves_the_arena_is_empty_text() {
        let folder = tempfile::tempdir().unwrap();
        let fake = FakeRing::new([1, 2]);
        let last = wire::layout::SMALL.arena_words as u32 - 1;
        fake.set(header::API_NAMES, Span { word: last, length: 9 }.encode());
        let ring = fake.open(folder.path());
        assert_eq!(TableReader::new(&ring).apis(&ring).unwrap(), Vec::<String>::new());
        fake.set(header::API_NAMES, Span { word: u32::MAX, length: u32::MAX }.encode());
        let ring = fake.open(folder.path());
        assert_eq!(TableReader::new(&ring).apis(&ring).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn the_handle_index_of_a_mapping_is_not_taken_for_a_stack() {
        let folder = tempfile::tempdir().unwrap();
        let fake = FakeRing::new([1, 2]);
        let stack = fake.python_stack("forward");
        let ring = fake.open(folder.path());
        let mut tables = TableReader::new(&ring);
        let mut entry = crate::source::fake::entry(Class::Mapping, 1, 1, 0);
        entry.native = stack;
        tables.live(&ring, &Live { index: 0, freeing: false, entry }).unwrap();
        assert!(tables.take(&ring).unwrap().is_empty());
    }
}
