//! Stacks as one insert-only trie: an id is the index of a node, a node is a frame and its parent.
//!
//! The trie is a hash table of its own nodes: a node lies at or shortly after the hash of (parent,
//! kind, frame), so looking a child up and inserting it are the same walk. A node is two words:
//!
//! ```text
//! word 0  state 2 | kind 2 | hash 28 | parent 32        (lowest first)
//!      1  frame
//! ```
//!
//! The parent is the *outer* frame. The frame of a native node is the return address; of a Python
//! node the index of its code object in the high 32 bits and the instruction's offset in bytes in
//! the low. Two threads that insert the same child at once may make two nodes of it; outside the
//! process a stack is known by a hash of its content, so they collapse there.

use core::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

use crate::{layout::NODE_WORDS, mix, record::NO_STACK};

/// Nodes looked at before giving up.
pub const PROBES: usize = 256;
const EMPTY: u64 = 0;
const BUSY: u64 = 1;
const READY: u64 = 2;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FrameKind {
    /// A return address.
    Native = 1,
    /// A Python code object and an instruction in it.
    Python = 2,
}

/// One frame and the way outward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// The outer frame; [`NO_STACK`] for the outermost.
    pub parent: u32,
    /// What the frame is.
    pub kind: FrameKind,
    /// The frame, by kind.
    pub frame: u64,
}

impl Node {
    fn hash(&self) -> u64 {
        mix(self.frame ^ mix((self.parent as u64) << 2 | self.kind as u64))
    }

    const fn head(&self, hash: u64, state: u64) -> u64 {
        state | (self.kind as u64) << 2 | (hash >> 36) << 4 | (self.parent as u64) << 32
    }

    /// The node in two words; `None` for an empty, unfinished or unknown one.
    #[must_use]
    pub const fn decode(words: &[u64; NODE_WORDS]) -> Option<Self> {
        let [head, frame] = *words;
        let kind = match head >> 2 & 3 {
            1 => FrameKind::Native,
            2 => FrameKind::Python,
            _ => return None,
        };
        if head & 3 != READY {
            return None;
        }
        Some(Self { parent: (head >> 32) as u32, kind, frame })
    }
}

/// The writing side.
#[derive(Clone, Copy)]
pub struct Trie<'a> {
    words: &'a [AtomicU64],
}

impl<'a> Trie<'a> {
    /// A trie over the words of the section, whose number of nodes is a power of two.
    #[must_use]
    pub const fn new(words: &'a [AtomicU64]) -> Self {
        Self { words }
    }

    /// The id of `node`, inserted if it is not there, and whether it was inserted; `None` when
    /// there is no room.
    #[must_use]
    pub fn intern(&self, node: &Node) -> Option<(u32, bool)> {
        let mask = self.words.len() / NODE_WORDS - 1;
        let hash = node.hash();
        let ready = node.head(hash, READY);
        for i in 0..PROBES.min(mask) {
            let index = (hash as usize + i) & mask;
            if index == NO_STACK as usize {
                continue;
            }
            let [head, frame] = self.words.get(index * NODE_WORDS..)?.first_chunk()?;
            let mut seen = head.load(Acquire);
            if seen == EMPTY {
                let claim = head.compare_exchange(EMPTY, node.head(hash, BUSY), Acquire, Acquire);
                match claim {
                    Ok(_) => {
                        frame.store(node.frame, Relaxed);
                        // Pairs with the acquire load above and with a reader's.
                        head.store(ready, Release);
                        return Some((u32::try_from(index).ok()?, true));
                    }
                    Err(other) => seen = other,
                }
            }
            if seen == ready && frame.load(Relaxed) == node.frame {
                return Some((u32::try_from(index).ok()?, false));
            }
        }
        None
    }
}
