//! One ring file: opened, recognised, and read word by word.

use std::{
    fs::{File, OpenOptions},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use wire::{
    header::{self, LAYOUT_VERSION, MAGIC_VALUE, Mode},
    layout::{HEADER_WORDS, Layout, Offsets, PROFILES, WORD},
};

use super::Damage;
use crate::ledger::Instance;

/// A file that says it is a ring of this version, whose size agrees. Everything else in it is
/// still a claim.
#[derive(Debug)]
pub struct RingFile {
    file: File,
    path: PathBuf,
    layout: Layout,
    at: Offsets,
    instance: Instance,
}

impl RingFile {
    /// Opens and recognises the file at `path`; a symbolic link is not followed.
    ///
    /// # Errors
    /// The file cannot be read, or is no ring of this version that has finished starting.
    pub fn open(path: &Path) -> Result<Self, Damage> {
        let file = OpenOptions::new()
            .read(true)
            // Not blocking: a pipe of that name must not hang the collector.
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC)
            .open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(Damage::NotAFile);
        }
        let size = metadata.len();
        if size == 0 {
            // The writer makes the file and then gives it its size, which takes a while.
            return Err(Damage::Starting);
        }
        if size < (HEADER_WORDS * WORD) as u64 {
            return Err(Damage::TooSmall(size));
        }
        let header = read_words(&file, 0, HEADER_WORDS)?;
        let layout = recognise(&header, size)?;
        let instance = Instance([header[header::INSTANCE_0], header[header::INSTANCE_1]]);
        Ok(Self { file, path: path.to_owned(), layout, at: layout.offsets(), instance })
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The process image that writes it.
    #[must_use]
    pub const fn instance(&self) -> Instance {
        self.instance
    }

    /// Salt of the checks in its slots.
    #[must_use]
    pub const fn salt(&self) -> u64 {
        header::salt(self.instance.0)
    }

    /// How many elements its sections hold.
    #[must_use]
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Where its sections start.
    pub(super) const fn at(&self) -> &Offsets {
        &self.at
    }

    /// `count` words from word `first` of the file.
    pub(super) fn words(&self, first: usize, count: usize) -> Result<Vec<u64>, Damage> {
        read_words(&self.file, first, count)
    }

    /// `N` words from word `first` of the file.
    pub(super) fn element<const N: usize>(&self, first: usize) -> Result<[u64; N], Damage> {
        let mut words = [0; N];
        words.copy_from_slice(&self.words(first, N)?);
        Ok(words)
    }

    /// One word of the header, as it is now.
    pub(super) fn header_word(&self, word: usize) -> Result<u64, Damage> {
        Ok(self.element::<1>(word)?[0])
    }
}

fn read_words(file: &File, first: usize, count: usize) -> Result<Vec<u64>, Damage> {
    let mut bytes = vec![0; count * WORD];
    file.read_exact_at(&mut bytes, (first * WORD) as u64)?;
    let (words, _) = bytes.as_chunks::<WORD>();
    Ok(words.iter().map(|word| u64::from_le_bytes(*word)).collect())
}

fn recognise(header: &[u64], size: u64) -> Result<Layout, Damage> {
    match header[header::MAGIC] {
        MAGIC_VALUE => {}
        // The writer sizes the file first and fills the header in afterwards.
        0 => return Err(Damage::Starting),
        _ => return Err(Damage::NotARing),
    }
    let version = header[header::VERSION];
    if version as u32 != LAYOUT_VERSION {
        return Err(Damage::OtherVersion { found: version as u32 });
    }
    let layout = PROFILES.get((version >> 32) as usize).ok_or(Damage::WrongSize(size))?;
    if layout.bytes() as u64 != size {
        return Err(Damage::WrongSize(size));
    }
    match Mode::of(header[header::MODE]) {
        None => Err(Damage::NoMode),
        Some(Mode::Starting) => Err(Damage::Starting),
        Some(Mode::On | Mode::Off) => Ok(*layout),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;
    use crate::source::fake::FakeRing;

    fn damage(change: impl FnOnce(&FakeRing)) -> String {
        let folder = tempfile::tempdir().unwrap();
        let ring = FakeRing::new([1, 2]);
        change(&ring);
        RingFile::open(&ring.save(folder.path())).unwrap_err().to_string()
    }

    #[test]
    fn a_good_file_opens() {
        let folder = tempfile::tempdir().unwrap();
        let ring = FakeRing::new([1, 2]).open(folder.path());
        assert_eq!(ring.instance(), Instance([1, 2]));
        assert_eq!(ring.layout(), &wire::layout::SMALL);
    }

    #[test]
    fn another_version_is_named_with_both_numbers() {
        let text = damage(|ring| ring.set(header::VERSION, 1 << 32 | 77));
        assert!(text.contains("layout 77") && text.contains("layout 1"), "{text}");
    }

    #[test]
    fn each_wrong_header_has_its_sentence() {
        assert!(damage(|ring| ring.set(header::MAGIC, 5)).contains("not a ring"));
        assert!(damage(|ring| ring.set(header::MAGIC, 0)).contains("starting"));
        assert!(damage(|ring| ring.set(header::MODE, 0)).contains("starting"));
        assert!(damage(|ring| ring.set(header::MODE, 9)).contains("mode word"));
        let version = u64::from(LAYOUT_VERSION);
        assert!(damage(|ring| ring.set(header::VERSION, version)).contains("not the size"));
        assert!(damage(|ring| ring.set(header::VERSION, 9 << 32 | version)).contains("size"));
    }

    #[test]
    fn a_short_file_a_folder_and_a_link_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let short = folder.path().join("short");
        fs::write(&short, [0; 100]).unwrap();
        assert_eq!(RingFile::open(&short).unwrap_err(), Damage::TooSmall(100));
        assert_eq!(RingFile::open(folder.path()).unwrap_err(), Damage::NotAFile);
        fs::write(&short, []).unwrap();
        assert_eq!(RingFile::open(&short).unwrap_err(), Damage::Starting);
        let good = FakeRing::new([1, 2]).save(folder.path());
        let link = folder.path().join("link");
        symlink(&good, &link).unwrap();
        assert_eq!(RingFile::open(&link).unwrap_err(), Damage::NotAFile);
        let gone = folder.path().join("gone");
        assert!(matches!(RingFile::open(&gone).unwrap_err(), Damage::Unreadable(_)));
    }
}
