//! Reads a process's file the way a collector does, without believing less of it.
#![allow(dead_code, reason = "each test uses its part")]

pub mod subject;

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};
use wire::{
    arena::Span,
    code::Code,
    device,
    header::{self, COUNTERS, Counter},
    layout::{CODE_WORDS, ENTRY_WORDS, Layout, NODE_WORDS, Offsets, PROFILES, SLOT_WORDS},
    live::{Entry, State},
    record::{NO_STACK, Record},
    ring::{Read, judge},
    text::Field,
    trie::{FrameKind, Node},
};

/// A copy of a file.
pub struct File {
    words: Vec<u64>,
    layout: Layout,
    at: Offsets,
}

/// A Python frame by what names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Frame {
    pub name: String,
    pub file: String,
    pub first_line: u32,
    pub offset: u32,
    pub lines: Vec<u8>,
}

impl File {
    pub fn of(words: &[AtomicU64], layout: Layout) -> Self {
        let words = words.iter().map(|word| word.load(Relaxed)).collect();
        Self { words, layout, at: layout.offsets() }
    }

    pub fn read(path: &Path) -> Self {
        let bytes = fs::read(path).unwrap();
        let words: Vec<_> = bytes
            .chunks_exact(8)
            .map(|word| u64::from_le_bytes(word.try_into().unwrap()))
            .collect();
        let layout = PROFILES[(words[header::VERSION] >> 32) as usize];
        assert_eq!(words.len(), layout.offsets().end);
        assert_eq!(words[header::MAGIC], header::MAGIC_VALUE);
        Self { words, layout, at: layout.offsets() }
    }

    pub fn header(&self, word: usize) -> u64 {
        self.words[word]
    }

    pub fn counter(&self, counter: Counter) -> u64 {
        self.words[COUNTERS + counter as usize]
    }

    pub fn gauge(&self, device: u8, gauge: usize) -> u64 {
        self.words[self.at.devices + device::at(device) + gauge]
    }

    pub fn text(&self, field: Field) -> String {
        let at = self.at.text + field.at;
        let bytes = self.words[at + 1..].iter().flat_map(|word| word.to_le_bytes());
        String::from_utf8(bytes.take(self.words[at] as usize).collect()).unwrap()
    }

    /// The records still in the ring, oldest first.
    pub fn records(&self) -> Vec<Record> {
        let (head, slots) = (self.header(header::HEAD), self.layout.slots as u64);
        let salt = header::salt([self.words[header::INSTANCE_0], self.words[header::INSTANCE_1]]);
        (head.saturating_sub(slots)..head)
            .map(|position| {
                let at = self.at.ring + (position % slots) as usize * SLOT_WORDS;
                let slot = self.words[at..][..SLOT_WORDS].try_into().unwrap();
                match judge(slot, position, salt) {
                    Read::Record(record) => record,
                    other => panic!("slot {position} reads as {other:?}"),
                }
            })
            .collect()
    }

    /// What is held, with the index of each entry.
    pub fn live(&self) -> Vec<(u32, State, Entry)> {
        (0..self.layout.entries)
            .filter_map(|index| {
                let words = &self.words[self.at.live + index * ENTRY_WORDS..][..ENTRY_WORDS];
                let (state, entry) = Entry::decode(words.try_into().unwrap());
                Some((index as u32, state, entry?))
            })
            .collect()
    }

    fn frames(&self, mut id: u32) -> impl Iterator<Item = Node> {
        std::iter::from_fn(move || {
            if id == NO_STACK {
                return None;
            }
            let words = &self.words[self.at.nodes + id as usize * NODE_WORDS..][..NODE_WORDS];
            let node = Node::decode(words.try_into().unwrap()).expect("a node");
            id = node.parent;
            Some(node)
        })
    }

    /// A native stack, innermost first.
    pub fn native(&self, id: u32) -> Vec<u64> {
        self.frames(id)
            .inspect(|node| assert_eq!(node.kind, FrameKind::Native))
            .map(|node| node.frame)
            .collect()
    }

    /// A Python stack, innermost first.
    pub fn python(&self, id: u32) -> Vec<Frame> {
        self.frames(id)
            .map(|node| {
                assert_eq!(node.kind, FrameKind::Python);
                let at = self.at.codes + (node.frame >> 32) as usize * CODE_WORDS;
                let code = Code::decode(self.words[at..][..CODE_WORDS].try_into().unwrap());
                let code = code.expect("a code object");
                Frame {
                    name: String::from_utf8(self.bytes(code.name)).unwrap(),
                    file: String::from_utf8(self.bytes(code.file)).unwrap(),
                    first_line: code.first_line,
                    offset: node.frame as u32,
                    lines: self.bytes(code.lines),
                }
            })
            .collect()
    }

    fn bytes(&self, span: Span) -> Vec<u8> {
        let words = &self.words[self.at.arena + span.word as usize..];
        let bytes = words.iter().flat_map(|word| word.to_le_bytes());
        bytes.take(span.length as usize).collect()
    }
}
