//! The build-id of an ELF file: the note of type 3 whose owner is "GNU".
//!
//! Not taken from blazesym (0.2.7): it takes the first note of type 3 whoever its owner is, and in
//! `libc10_cuda.so` that is a SystemTap probe.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

const PT_NOTE: u32 = 4;
const NT_GNU_BUILD_ID: u32 = 3;
const PROGRAM_HEADER: usize = 56;
/// Most bytes read of one segment of notes; a build-id takes 36.
const NOTES_LIMIT: u64 = 64 * 1024;

/// The build-id of the little-endian 64-bit ELF file at `path`; `None` if it is not one, cannot be
/// read, or has none.
#[must_use]
pub fn read(path: &Path) -> Option<Vec<u8>> {
    let mut file = File::open(path).ok()?;
    let header = bytes(&mut file, 0, 64).ok()?;
    if !header.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let count = u64::from(u16_at(&header, 56)?);
    let table = bytes(&mut file, u64_at(&header, 32)?, count * PROGRAM_HEADER as u64).ok()?;
    table.chunks_exact(PROGRAM_HEADER).filter(|header| u32_at(header, 0) == Some(PT_NOTE)).find_map(
        |header| {
            let size = u64_at(header, 32)?.min(NOTES_LIMIT);
            build_id(&bytes(&mut file, u64_at(header, 8)?, size).ok()?)
        },
    )
}

/// The build-id among notes: each three words (length of the owner, length of the content, type),
/// the owner and the content, both filled up to four bytes.
fn build_id(mut notes: &[u8]) -> Option<Vec<u8>> {
    loop {
        let owner_size = u32_at(notes, 0)? as usize;
        let size = u32_at(notes, 4)? as usize;
        let kind = u32_at(notes, 8)?;
        let rest = notes.get(12..)?;
        let owner = rest.get(..owner_size)?;
        let rest = rest.get(owner_size.checked_next_multiple_of(4)?..)?;
        let content = rest.get(..size)?;
        if kind == NT_GNU_BUILD_ID && owner == b"GNU\0" {
            return Some(content.to_vec());
        }
        notes = rest.get(size.checked_next_multiple_of(4)?..)?;
    }
}

fn bytes(file: &mut File, offset: u64, size: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    file.take(size).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(owner: &[u8], kind: u32, content: &[u8]) -> Vec<u8> {
        let mut note = Vec::new();
        for word in [owner.len() as u32, content.len() as u32, kind] {
            note.extend(word.to_le_bytes());
        }
        for part in [owner, content] {
            note.extend(part);
            note.resize(note.len().next_multiple_of(4), 0);
        }
        note
    }

    #[test]
    fn a_note_of_the_same_type_and_another_owner_is_not_the_build_id() {
        let notes =
            [note(b"stapsdt\0", 3, &[9; 5]), note(b"GNU\0", 1, &[8]), note(b"GNU\0", 3, &[1, 2])];
        assert_eq!(build_id(&notes.concat()), Some(vec![1, 2]));
        assert_eq!(build_id(&notes[..2].concat()), None);
    }

    #[test]
    fn damaged_notes_have_none() {
        let whole = note(b"GNU\0", 3, &[1, 2, 3, 4]);
        for size in 0..whole.len() {
            assert_eq!(build_id(&whole[..size]), None);
        }
        assert_eq!(build_id(&[0xff; 64]), None);
    }

    #[test]
    fn the_c_library_has_one_and_a_text_file_has_none() {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let mut files = maps.lines().filter_map(|line| line.split_whitespace().nth(5));
        let library = files.find(|path| path.ends_with("/libc.so.6")).unwrap();
        assert_eq!(read(Path::new(library)).unwrap().len(), 20);
        assert_eq!(read(Path::new("/etc/passwd")), None);
    }
}
