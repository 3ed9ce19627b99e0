//! Sites: stacks under names that mean the same in every process.
//!
//! A stack id is the index of a node in one process's trie. A [`SiteId`] is a hash of what the
//! frames *are*: file, function and line of a Python frame, build-id and offset of a native one.
//! So the same line of code in all ranks of a job is one site.
//!
//! An event has two stacks, which the trie does not merge. Here a site is the native frames up to
//! the interpreter, then the Python frames: the interpreter's own frames tell nobody anything, and
//! what lies outside them is what the Python frames say.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    sync::Arc,
};

use wire::trie::FrameKind;

use super::{
    hash::Hash128,
    lines,
    modules::{Modules, file_name},
    native::{File, Files, Names},
};
use crate::ledger::Tables;

/// The name of a site, 128 bits; shown as 32 lower-case hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SiteId(pub u128);

impl fmt::Display for SiteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// One frame of a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A Python function.
    Python {
        /// Qualified name.
        function: Arc<str>,
        /// File name as the code object has it.
        file: Arc<str>,
        /// Line, where the interpreter knows one.
        line: Option<u32>,
    },
    /// Native code in a file.
    Native {
        /// The file.
        file: Arc<File>,
        /// Offset of the return address in the file, bytes.
        offset: u64,
    },
    /// Native code in no file: made at run time.
    Generated,
}

impl Frame {
    fn hash(&self, hash: &mut Hash128) {
        match self {
            Self::Python { function, file, line } => {
                hash.bytes(b"python").bytes(file.as_bytes()).bytes(function.as_bytes());
                hash.number(u64::from(line.unwrap_or(0)));
            }
            Self::Native { file, offset } => {
                // Without a build-id the file's name is the best there is.
                let build = file.build_id.as_deref().unwrap_or_else(|| file_name(&file.path));
                hash.bytes(b"native").bytes(build.as_bytes()).number(*offset);
            }
            Self::Generated => {
                hash.bytes(b"generated");
            }
        }
    }
}

/// The sites of all processes of a report.
#[derive(Debug, Default)]
pub struct Sites {
    files: Files,
    frames: HashMap<SiteId, Arc<[Frame]>>,
}

impl Sites {
    /// The frames of a site, innermost first; empty for the site of events without a stack.
    #[must_use]
    pub fn frames(&self, id: SiteId) -> &[Frame] {
        self.frames.get(&id).map_or(&[], |frames| frames)
    }

    /// The names of the native functions in these sites.
    #[must_use]
    pub fn names(&self, ids: &BTreeSet<SiteId>) -> Names {
        Names::look_up(ids.iter().flat_map(|id| self.frames(*id)).filter_map(|frame| match frame {
            Frame::Native { file, offset } => Some((file, *offset)),
            _ => None,
        }))
    }
}

/// The stacks of one process.
#[derive(Debug)]
pub struct Stacks<'a> {
    tables: &'a Tables,
    modules: Modules<'a>,
    pid: Option<u32>,
    /// Frames by their node's content; stacks share most of theirs.
    frames: HashMap<(FrameKind, u64), Frame>,
    ids: HashMap<(u32, u32), SiteId>,
}

impl<'a> Stacks<'a> {
    /// The stacks in `tables`; `pid` is the process while it lives.
    #[must_use]
    pub fn new(tables: &'a Tables, pid: Option<u32>) -> Self {
        Self {
            tables,
            modules: Modules::new(&tables.modules),
            pid,
            frames: HashMap::new(),
            ids: HashMap::new(),
        }
    }

    /// The executable mappings of the process.
    #[must_use]
    pub fn modules(&self) -> &Modules<'a> {
        &self.modules
    }

    /// The site of an event with these stack ids; it is added to `sites`.
    pub fn site(&mut self, sites: &mut Sites, native: u32, python: u32) -> SiteId {
        if let Some(id) = self.ids.get(&(native, python)) {
            return *id;
        }
        let frames = self.merged(&mut sites.files, native, python);
        let mut hash = Hash128::default();
        for frame in &frames {
            frame.hash(&mut hash);
        }
        let id = SiteId(hash.finish());
        sites.frames.entry(id).or_insert_with(|| frames.into());
        self.ids.insert((native, python), id);
        id
    }

    fn merged(&mut self, files: &mut Files, native: u32, python: u32) -> Vec<Frame> {
        let python = self.tables.frames(python);
        let mut native = self.tables.frames(native);
        if !python.is_empty() {
            let interpreter = native.iter().position(|(_, address)| {
                self.modules.caller(*address).is_some_and(|module| is_interpreter(&module.path))
            });
            native.truncate(interpreter.unwrap_or(native.len()));
        }
        native.into_iter().chain(python).map(|node| self.frame(files, node)).collect()
    }

    fn frame(&mut self, files: &mut Files, node: (FrameKind, u64)) -> Frame {
        if let Some(frame) = self.frames.get(&node) {
            return frame.clone();
        }
        let frame = match node {
            (FrameKind::Python, frame) => self.python(frame),
            (FrameKind::Native, address) => match self.modules.caller(address) {
                Some(module) => Frame::Native {
                    file: files.of(module, self.pid),
                    offset: (address - module.start).wrapping_add(module.offset),
                },
                None => Frame::Generated,
            },
        };
        self.frames.insert(node, frame.clone());
        frame
    }

    fn python(&self, frame: u64) -> Frame {
        let (index, offset) = ((frame >> 32) as u32, frame as u32);
        match self.tables.codes.get(&index) {
            Some(code) => Frame::Python {
                function: code.name.as_str().into(),
                file: code.file.as_str().into(),
                line: lines::line(code, offset),
            },
            None => Frame::Python { function: "?".into(), file: "?".into(), line: None },
        }
    }
}

/// Whether a file is a Python interpreter: `libpython3.11.so.1.0`, or `python3.11` itself.
fn is_interpreter(path: &str) -> bool {
    let name = file_name(path);
    let name = name.strip_prefix("lib").unwrap_or(name);
    name.strip_prefix("python").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use wire::trie::Node;

    use super::*;
    use crate::ledger::{Code, Module};

    /// Tables of a process whose code lies at `base` and whose trie and code ids begin at `first`:
    /// a native stack (id `first`) through a library, the interpreter and `main`, and a Python
    /// stack (id `first + 11`) of two lines of `code.py`.
    fn tables(base: u64, first: u32) -> Tables {
        let module = |at: u64, path: &str| Module {
            start: base + at,
            end: base + at + 0x1000,
            offset: at,
            path: path.into(),
            inode: 0,
        };
        let node = |parent, kind, frame| Node { parent, kind, frame };
        let native = FrameKind::Native;
        let python = FrameKind::Python;
        let code = u64::from(first) << 32;
        Tables {
            nodes: BTreeMap::from([
                (first, node(first + 1, native, base + 0x10)),
                (first + 1, node(first + 2, native, base + 0x1020)),
                (first + 2, node(0, native, base + 0x2030)),
                (first + 11, node(first + 12, python, code | 2)),
                (first + 12, node(0, python, code)),
            ]),
            codes: BTreeMap::from([(
                first,
                Code {
                    name: "f".into(),
                    file: "code.py".into(),
                    // Two instructions, on lines 10 and 11.
                    lines: vec![0x80 | 13 << 3, 0, 0x80 | 13 << 3, 2],
                    first_line: 10,
                    python: 3 << 8 | 11,
                },
            )]),
            modules: vec![
                module(0, "/lib/libnccl.so.2"),
                module(0x1000, "/lib/libpython3.11.so.1.0"),
                module(0x2000, "/bin/serve"),
            ],
            apis: Vec::new(),
        }
    }

    fn site(tables: &Tables, native: u32, python: u32) -> (SiteId, Vec<Frame>) {
        let mut sites = Sites::default();
        let id = Stacks::new(tables, None).site(&mut sites, native, python);
        (id, sites.frames(id).to_vec())
    }

    #[test]
    fn a_site_has_the_same_name_in_every_process() {
        let (one, other) = (tables(0x10_0000, 5), tables(0x7f00_0000, 900));
        assert_eq!(site(&one, 5, 16), site(&other, 900, 911));
        assert_ne!(site(&one, 5, 16).0, site(&one, 5, 17).0, "another line");
        assert_ne!(site(&one, 5, 16).0, site(&one, 6, 16).0, "another native stack");
    }

    #[test]
    fn python_frames_take_the_place_of_the_interpreter_and_what_is_outside_it() {
        let tables = tables(0x10_0000, 5);
        let (_, frames) = site(&tables, 5, 16);
        assert!(matches!(&frames[0], Frame::Native { offset: 0x10, .. }));
        let lines: Vec<_> = frames[1..]
            .iter()
            .map(|frame| match frame {
                Frame::Python { line, .. } => *line,
                _ => None,
            })
            .collect();
        assert_eq!(lines, [Some(11), Some(10)]);
        assert_eq!(site(&tables, 5, 0).1.len(), 3, "without Python frames all native ones stay");
    }

    #[test]
    fn the_name_of_a_site_never_changes() {
        let id = site(&tables(0x10_0000, 5), 5, 16).0;
        assert_eq!(id.to_string(), "cba890b4901f160321da66a59e2bfbbf");
        let none = site(&Tables::default(), 0, 0);
        assert_eq!(
            (none.0.to_string().as_str(), none.1),
            ("6c62272e07bb014262b821756295c58d", vec![])
        );
    }
}
