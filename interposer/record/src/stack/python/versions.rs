//! Where CPython keeps what is read here, by version. Offsets in bytes, of the ordinary builds.
//!
//! Taken from the headers of each version with `offsetof`; equal in all releases of a minor
//! version, because C extensions and debuggers depend on them.

/// Where a frame's position in its code object is.
#[derive(Clone, Copy, Debug)]
pub enum Position {
    /// A 32-bit index of the instruction, in units of two bytes.
    Index {
        /// In the frame.
        frame: usize,
    },
    /// A pointer to the instruction.
    Pointer {
        /// In the frame.
        frame: usize,
        /// First instruction, in the code object.
        code: usize,
    },
}

/// Layout of one minor version.
#[derive(Debug)]
pub struct Layout {
    /// 3.`minor`.
    pub minor: u8,
    /// Pointers to follow from the thread state to its innermost frame.
    pub innermost: &'static [usize],
    /// In a frame: the frame that called it.
    pub previous: usize,
    /// In a frame: its code object.
    pub code: usize,
    /// The instruction.
    pub position: Position,
    /// In a frame, where the interpreter pushes entries that are no Python frames: the byte that
    /// tells them, by a value of [`SHIM`].
    pub owner: Option<usize>,
    /// In a code object: its name, qualified where the version has that.
    pub name: usize,
    /// In a code object: the file.
    pub file: usize,
    /// In a code object: the line table.
    pub lines: usize,
    /// In a code object: the first line, 32 bits.
    pub first_line: usize,
    /// In a code object: a 32-bit number that is never used twice.
    pub version: Option<usize>,
    /// In a string of ASCII characters: the characters.
    pub ascii: usize,
    /// In a string of other characters: the characters.
    pub compact: usize,
}

/// Owner of an entry that the interpreter's C code pushed.
pub const SHIM: u8 = 3;

/// In any object: its type.
pub const TYPE: usize = 8;
/// In a string or a `bytes` object: its length.
pub const LENGTH: usize = 16;
/// In a string: 32 bits of which 2-4 are the width of a character, 5 compact, 6 ASCII.
pub const STATE: usize = 32;
/// In a `bytes` object: the bytes.
pub const BYTES: usize = 32;

/// The versions whose frames are read.
pub const VERSIONS: [Layout; 4] = [
    Layout {
        minor: 10,
        innermost: &[24],
        previous: 24,
        code: 32,
        position: Position::Index { frame: 96 },
        owner: None,
        name: 112,
        file: 104,
        lines: 120,
        first_line: 40,
        version: None,
        ascii: 48,
        compact: 72,
    },
    Layout {
        minor: 11,
        innermost: &[56, 8],
        previous: 48,
        code: 32,
        position: Position::Pointer { frame: 56, code: 184 },
        owner: None,
        name: 128,
        file: 112,
        lines: 136,
        first_line: 72,
        version: None,
        ascii: 48,
        compact: 72,
    },
    Layout {
        minor: 12,
        innermost: &[56, 0],
        previous: 8,
        code: 0,
        position: Position::Pointer { frame: 56, code: 192 },
        owner: Some(70),
        name: 128,
        file: 112,
        lines: 136,
        first_line: 68,
        version: Some(92),
        ascii: 40,
        compact: 56,
    },
    Layout {
        minor: 13,
        innermost: &[72],
        previous: 8,
        code: 0,
        position: Position::Pointer { frame: 56, code: 200 },
        owner: Some(70),
        name: 128,
        file: 112,
        lines: 136,
        first_line: 68,
        version: Some(92),
        ascii: 40,
        compact: 56,
    },
];
