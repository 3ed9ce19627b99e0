//! A ring file made by the writers of `wire`, for tests.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use wire::{
    arena::Arena,
    code::{Code, Codes},
    header::{self, Counter, Mode, Reason},
    layout::{SMALL, Sections},
    live::{Entry, Table},
    module::{Module, Modules},
    record::{Class, FLAG_SECOND, Record, Verb},
    ring::Producer,
    text,
    trie::{FrameKind, Node, Trie},
};

use super::RingFile;

/// The words of a ring of the small profile.
pub(crate) struct FakeRing {
    pub(crate) words: Vec<AtomicU64>,
    instance: [u64; 2],
}

impl FakeRing {
    /// A ring whose process is recording and has recorded nothing.
    pub(crate) fn new(instance: [u64; 2]) -> Self {
        let words = (0..SMALL.offsets().end).map(|_| AtomicU64::new(0)).collect();
        let ring = Self { words, instance };
        let set = |word: usize, value: u64| ring.words[word].store(value, Relaxed);
        set(header::MAGIC, header::MAGIC_VALUE);
        set(header::VERSION, 1 << 32 | u64::from(header::LAYOUT_VERSION));
        set(header::INSTANCE_0, instance[0]);
        set(header::INSTANCE_1, instance[1]);
        set(header::PID, 4711);
        set(header::START_TICKS, 12_345);
        set(header::STARTED_MONOTONIC, 1_000);
        set(header::STARTED_REALTIME, 1_700_000_000_000_000_000);
        text::COMMAND.write(ring.sections().text, b"python3\0job.py\0");
        text::EXECUTABLE.write(ring.sections().text, b"/usr/bin/python3");
        text::ENVIRONMENT.write(ring.sections().text, b"RANK=3\nSECRET=no\n");
        let apis = ring.arena().append(b"cuMemAlloc_v2\ncuMemFree_v2\n").unwrap();
        set(header::API_NAMES, apis.encode());
        set(header::MODE, header::mode_word(Mode::On, Reason::None));
        ring
    }

    pub(crate) fn sections(&self) -> Sections<'_> {
        Sections::split(&self.words, &SMALL).unwrap()
    }

    pub(crate) fn set(&self, word: usize, value: u64) {
        self.words[word].store(value, Relaxed);
    }

    pub(crate) fn producer(&self) -> Producer<'_> {
        let header = self.sections().header;
        let dropped = &header[header::COUNTERS + Counter::DroppedBusy as usize];
        Producer::new(
            self.sections().ring,
            &header[header::HEAD],
            dropped,
            header::salt(self.instance),
        )
    }

    pub(crate) fn table(&self) -> Table<'_> {
        Table::new(self.sections().live)
    }

    pub(crate) fn arena(&self) -> Arena<'_> {
        Arena::new(self.sections().arena, &self.sections().header[header::ARENA_NEXT])
    }

    /// Records that `size` bytes at `address` were taken, in the table and in the ring.
    pub(crate) fn take(&self, class: Class, address: u64, size: u64, python: u32) {
        let record = record(Verb::Alloc, class, address, size, python);
        self.table().insert(&entry(class, address, size, python)).unwrap();
        self.producer().publish(&record);
    }

    /// A Python stack of one frame in function `name`; its id.
    pub(crate) fn python_stack(&self, name: &str) -> u32 {
        let span = |text: &str| self.arena().append(text.as_bytes()).unwrap();
        let code = Code {
            name: span(name),
            file: span("/srv/job.py"),
            lines: self.arena().append(&[1, 2, 3]).unwrap(),
            first_line: 10,
            python: 0x30b,
        };
        let codes = Codes::new(self.sections().codes);
        let index = codes.intern(name.len() as u64, 1, || Some(code)).unwrap();
        let frame = u64::from(index) << 32 | 6;
        let node = Node { parent: 0, kind: FrameKind::Python, frame };
        Trie::new(self.sections().nodes).intern(&node).unwrap().0
    }

    /// Records an executable mapping.
    pub(crate) fn module(&self, start: u64, end: u64, path: &str) {
        let path = self.arena().append(path.as_bytes()).unwrap();
        let next = &self.sections().header[header::MODULES_NEXT];
        let module = Module { start, end, offset: 0, path, inode: 7, device: 1 };
        assert!(Modules::new(self.sections().modules, next).append(&module));
    }

    /// The bytes of the file as they are now.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.words.iter().flat_map(|word| word.load(Relaxed).to_le_bytes()).collect()
    }

    /// Writes the file into `folder` under its proper name.
    pub(crate) fn save(&self, folder: &Path) -> PathBuf {
        let [a, b] = self.instance;
        let path = folder.join(format!("{a:016x}{b:016x}{}", wire::folder::RING_SUFFIX));
        fs::write(&path, self.bytes()).unwrap();
        path
    }

    /// The file, written and opened.
    pub(crate) fn open(&self, folder: &Path) -> RingFile {
        RingFile::open(&self.save(folder)).unwrap()
    }
}

/// A record with the fields tests care about.
pub(crate) fn record(verb: Verb, class: Class, address: u64, size: u64, python: u32) -> Record {
    Record {
        time: 2_000 + address,
        address,
        size,
        aux: 0,
        verb,
        class,
        api: 0,
        device: 0,
        result: 0,
        tid: 1,
        flags: 0,
        native: 0,
        python,
    }
}

/// The same as an entry of the live table.
pub(crate) fn entry(class: Class, address: u64, size: u64, python: u32) -> Entry {
    let (device, flags, native, birth_us, link) = (0, 0, 0, 2, 0);
    Entry { address, class, device, flags, size, native, python, birth_us, link }
}

/// Publishes a record with a second slot.
pub(crate) fn publish_pair(ring: &FakeRing, mut record: Record, extra: [u64; 3]) {
    record.flags |= FLAG_SECOND;
    ring.producer().publish_pair(&record, &Record::second(record.time, extra));
}
