//! From the thread state outward.

use core::ptr;
use wire::{arena::Arena, code::Code, header::Counter};

use super::{
    find::Interpreter,
    fingerprint,
    read::field,
    text,
    versions::{BYTES, LENGTH, Layout, Position, SHIM, TYPE},
};
use crate::counters::Counters;

/// Frames taken at most; of a deeper stack the innermost.
pub const DEPTH: usize = 256;
/// Entries of the interpreter's list looked at, Python frames or not.
const STEPS: usize = 4 * DEPTH;
/// Fingerprint of a stack without frames.
pub const NO_FRAMES: u64 = 0;
/// Bytes of a line table at most.
const LINES: usize = 1 << 18;

/// One frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// Address of the code object.
    pub code: u64,
    /// Tells the code object from others that lay, or will lie, at the same address.
    pub fingerprint: u64,
    /// Offset of the instruction in the code, bytes.
    pub offset: u32,
}

/// Walks the frames of the calling thread.
pub struct Walker<'i> {
    interpreter: &'i Interpreter,
    innermost: usize,
}

/// What a frame of the interpreter's list turns out to be.
enum Step {
    /// A Python frame.
    Frame(Frame),
    /// An entry that is no Python frame, or one that has not begun.
    Skip,
    /// Not what this version's list consists of.
    Wrong,
}

impl<'i> Walker<'i> {
    /// A walker for the calling thread; `None` if it runs no Python.
    pub fn new(interpreter: &'i Interpreter) -> Option<Self> {
        let mut address = interpreter.thread_state()?;
        for offset in interpreter.layout.innermost {
            // SAFETY: a thread state, or what its pointers lead to by the version's layout.
            address = unsafe { field(address, *offset) };
            if address == 0 {
                return None;
            }
        }
        Some(Self { interpreter, innermost: address })
    }

    const fn layout(&self) -> &'static Layout {
        self.interpreter.layout
    }

    fn look(&self, frame: usize) -> Step {
        let layout = self.layout();
        if let Some(offset) = layout.owner {
            // SAFETY: `frame` is in the calling thread's list, which nobody changes meanwhile.
            let owner: u8 = unsafe { field(frame, offset) };
            if owner == SHIM {
                return Step::Skip;
            }
        }
        // SAFETY: as above.
        let code: usize = unsafe { field(frame, layout.code) };
        if code < 4096 || !code.is_multiple_of(align_of::<usize>()) {
            return Step::Wrong;
        }
        // SAFETY: a frame's code is an object, and every object has a type.
        let kind: usize = unsafe { field(code, TYPE) };
        if kind != self.interpreter.code_type {
            return Step::Wrong;
        }
        match self.offset(frame, code) {
            Some(offset) => {
                // SAFETY: the type says that it is a code object, and its frame keeps it alive.
                let fingerprint = unsafe { fingerprint::of(code, layout) };
                Step::Frame(Frame { code: code as u64, fingerprint, offset })
            }
            None => Step::Skip,
        }
    }

    /// Offset of the instruction in bytes; `None` for a frame before its first.
    fn offset(&self, frame: usize, code: usize) -> Option<u32> {
        match self.layout().position {
            Position::Index { frame: offset } => {
                // SAFETY: `frame` is a frame of this layout.
                let index: i32 = unsafe { field(frame, offset) };
                u32::try_from(index).ok()?.checked_mul(2)
            }
            Position::Pointer { frame: offset, code: first } => {
                // SAFETY: `frame` is a frame of this layout.
                let instruction: usize = unsafe { field(frame, offset) };
                let distance = instruction.checked_sub(code.wrapping_add(first))?;
                u32::try_from(distance).ok()
            }
        }
    }

    /// Calls `see` for each frame, innermost first, at most [`DEPTH`]. `None` if the list is not
    /// what the version says; else whether it was seen to its end.
    fn each(&self, mut see: impl FnMut(Frame)) -> Option<bool> {
        let mut address = self.innermost;
        let mut seen = 0_usize;
        for _ in 0..STEPS {
            if address == 0 {
                return Some(true);
            }
            match self.look(address) {
                Step::Frame(_) if seen == DEPTH => return Some(false),
                Step::Frame(frame) => {
                    seen = seen.saturating_add(1);
                    see(frame);
                }
                Step::Skip => {}
                Step::Wrong => return None,
            }
            // SAFETY: `address` is a frame of this layout.
            address = unsafe { field(address, self.layout().previous) };
        }
        Some(false)
    }

    /// A hash of all frames, [`NO_FRAMES`] if there are none; `None` if the list is not what the
    /// version says.
    pub fn fingerprint(&self) -> Option<u64> {
        const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut hash = NO_FRAMES;
        self.each(|frame| {
            let word = frame.fingerprint
                ^ frame.code.rotate_left(17)
                ^ u64::from(frame.offset).wrapping_mul(FACTOR);
            // Never NO_FRAMES again once there was a frame, but for one chance in 2^64.
            hash = (hash ^ word).wrapping_mul(FACTOR).rotate_left(29);
        })?;
        Some(hash)
    }

    /// Fills `frames`, innermost first. Returns how many there are and whether that is all.
    pub fn collect(&self, frames: &mut [Frame; DEPTH]) -> (usize, bool) {
        let mut depth = 0_usize;
        let whole = self.each(|frame| {
            if let Some(place) = frames.get_mut(depth) {
                *place = frame;
                depth = depth.saturating_add(1);
            }
        });
        (depth, whole == Some(true))
    }

    /// Copies what names a frame's code object into the arena. What finds no room there is left
    /// empty and counted.
    pub fn copy(&self, frame: &Frame, arena: &Arena<'_>, counters: &Counters<'_>) -> Code {
        let layout = self.layout();
        let code = frame.code as usize;
        let kept = |span: Option<_>| {
            span.unwrap_or_else(|| {
                counters.count(Counter::ArenaFull);
                Default::default()
            })
        };
        let string = |offset| {
            // SAFETY: `code` is a code object that the frame keeps alive, `offset` that of a string.
            let object: usize = unsafe { field(code, offset) };
            kept(text::copy(object, layout, arena))
        };
        // SAFETY: as above; the line table is a `bytes` object.
        let lines: usize = unsafe { field(code, layout.lines) };
        // SAFETY: as above.
        let length: usize = unsafe { field(lines, LENGTH) };
        let bytes = ptr::with_exposed_provenance::<u8>(lines.wrapping_add(BYTES));
        // SAFETY: a `bytes` object holds as many bytes as its length says and never changes.
        let lines = unsafe { core::slice::from_raw_parts(bytes, length.min(LINES)) };
        Code {
            name: string(layout.name),
            file: string(layout.file),
            lines: kept(arena.append(lines)),
            // SAFETY: as above.
            first_line: unsafe { field(code, layout.first_line) },
            python: self.interpreter.version,
        }
    }
}
