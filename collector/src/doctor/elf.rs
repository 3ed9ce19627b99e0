//! What an ELF file says of itself.

use std::{
    collections::BTreeMap,
    fs::File,
    io::Read,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use object::{
    Endianness, ReadCache, SymbolIndex,
    elf::{self, FileHeader64},
    read::elf::{Dyn, FileHeader, ProgramHeader, SectionTable, Sym},
};

/// Major and minor number of a glibc.
pub type Glibc = (u32, u32);

/// How versions of glibc's symbols begin.
const GLIBC: &[u8] = b"GLIBC_";

/// A 64-bit file for x86-64.
#[derive(Clone, Debug, Default)]
pub struct Elf {
    /// Loader that starts it; `None` for a static program, and for libraries.
    pub interpreter: Option<PathBuf>,
    /// Libraries it is linked to.
    pub needed: Vec<String>,
    /// Newest symbol version of glibc that it needs.
    pub needs_glibc: Option<Glibc>,
    /// Newest symbol version of glibc that it defines: it is glibc's libc.so.6.
    pub is_glibc: Option<Glibc>,
    /// Functions it gives to others, and where they lie in it.
    pub exported: BTreeMap<String, u64>,
}

/// Why a file is none that tracing knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// It cannot be read.
    Unreadable,
    /// No ELF file.
    Other,
    /// A 32-bit program.
    Bits32,
    /// For another processor.
    Machine,
    /// It begins as an ELF file does, and goes on as none.
    Damaged,
}

/// Reads the file at `path`.
///
/// # Errors
/// It is no ELF file of this kind of machine.
pub fn read(path: &Path) -> Result<Elf, Flaw> {
    // Without waiting for somebody who writes, should it be a pipe.
    let mut options = File::options();
    options.read(true).custom_flags(libc::O_NONBLOCK);
    let mut file = options.open(path).map_err(|_| Flaw::Unreadable)?;
    let mut start = [0; 20];
    match file.read_exact(&mut start) {
        Ok(()) if start.starts_with(b"\x7fELF") => {}
        Err(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => {
            return Err(Flaw::Unreadable);
        }
        _ => return Err(Flaw::Other),
    }
    if start[4] == elf::ELFCLASS32.0 {
        return Err(Flaw::Bits32);
    }
    if u16::from_le_bytes([start[18], start[19]]) != elf::EM_X86_64.0 {
        return Err(Flaw::Machine);
    }
    parse(&ReadCache::new(file)).map_err(|_| Flaw::Damaged)
}

type Data<'d> = &'d ReadCache<File>;

fn parse(data: Data<'_>) -> object::read::Result<Elf> {
    let header = FileHeader64::<Endianness>::parse(data)?;
    let endian = header.endian()?;
    let mut elf = Elf::default();
    for segment in header.program_headers(endian, data)? {
        if let Some(path) = segment.interpreter(endian, data)? {
            elf.interpreter = Some(PathBuf::from(text(path)));
        }
    }
    let sections = header.sections(endian, data)?;
    if let Some((entries, link)) = sections.dynamic(endian, data)? {
        let strings = sections.strings(endian, data, link)?;
        for entry in entries.iter().filter(|entry| entry.tag(endian) == elf::DT_NEEDED) {
            elf.needed.push(text(entry.string(endian, strings)?));
        }
    }
    versions(&sections, endian, data, &mut elf)?;
    let symbols = sections.symbols(endian, data, elf::SHT_DYNSYM)?;
    for (_, symbol) in symbols.enumerate().filter(|(index, _)| *index != SymbolIndex(0)) {
        let is_function = matches!(symbol.st_type(), elf::STT_FUNC | elf::STT_GNU_IFUNC);
        if is_function && !symbol.is_undefined(endian) {
            let name = text(symbol.name(endian, symbols.strings())?);
            elf.exported.insert(name, symbol.st_value(endian));
        }
    }
    Ok(elf)
}

fn versions<'d>(
    sections: &SectionTable<'d, FileHeader64<Endianness>, Data<'d>>,
    endian: Endianness,
    data: Data<'d>,
    elf: &mut Elf,
) -> object::read::Result<()> {
    if let Some((mut needs, link)) = sections.gnu_verneed(endian, data)? {
        let strings = sections.strings(endian, data, link)?;
        while let Some((_, mut versions)) = needs.next()? {
            while let Some(version) = versions.next()? {
                elf.needs_glibc = elf.needs_glibc.max(glibc(version.name(endian, strings)?));
            }
        }
    }
    if let Some((mut defines, link)) = sections.gnu_verdef(endian, data)? {
        let strings = sections.strings(endian, data, link)?;
        while let Some((_, mut names)) = defines.next()? {
            // The first is the version itself, the others are those it grew from.
            if let Some(version) = names.next()? {
                elf.is_glibc = elf.is_glibc.max(glibc(version.name(endian, strings)?));
            }
        }
    }
    Ok(())
}

/// `GLIBC_2.17`, `GLIBC_2.2.5`; `None` for `GLIBC_PRIVATE` and others' versions.
fn glibc(version: &[u8]) -> Option<Glibc> {
    let mut numbers = std::str::from_utf8(version.strip_prefix(GLIBC)?).ok()?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.strip_suffix(b"\0").unwrap_or(bytes)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_program_and_its_libc_are_read() {
        let own = read(&std::env::current_exe().unwrap()).unwrap();
        let interpreter = own.interpreter.unwrap().canonicalize().unwrap();
        assert!(own.needed.iter().any(|name| name == "libc.so.6"), "{:?}", own.needed);
        let libc = read(&interpreter.with_file_name("libc.so.6")).unwrap();
        assert!(libc.is_glibc >= own.needs_glibc && own.needs_glibc > Some((2, 2)));
        assert!(libc.exported.contains_key("dlsym") || libc.exported.contains_key("malloc"));
        assert_eq!(own.is_glibc, None);
    }

    #[test]
    fn versions_are_numbers() {
        assert_eq!(glibc(b"GLIBC_2.17"), Some((2, 17)));
        assert_eq!(glibc(b"GLIBC_2.2.5"), Some((2, 2)));
        assert_eq!((glibc(b"GLIBC_PRIVATE"), glibc(b"GLIBCXX_3.4")), (None, None));
    }

    #[test]
    fn what_is_no_program_of_this_machine_is_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let mut bytes = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let flaw = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            read(&path).unwrap_err()
        };
        assert_eq!(flaw(b"#!/bin/sh\n"), Flaw::Other);
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert_eq!(read(&pipe).unwrap_err(), Flaw::Other, "and nobody waited for");
        assert_eq!(flaw(&bytes[..100]), Flaw::Damaged);
        bytes.truncate(64);
        bytes[18] = 183;
        assert_eq!(flaw(&bytes), Flaw::Machine);
        bytes[4] = 1;
        assert_eq!(flaw(&bytes), Flaw::Bits32);
        assert_eq!(read(&folder.path().join("none")).unwrap_err(), Flaw::Unreadable);
    }
}
