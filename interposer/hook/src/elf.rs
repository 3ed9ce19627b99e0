//! Loaded objects and the symbols they export, read from memory.
//!
//! This is how the library finds functions without asking `dlsym`, which it interposes itself, and
//! without the loader's lock, which a thread may hold while it runs somebody's constructor. The
//! walk is `dl_iterate_phdr`: its lock is held only while the list of objects changes, and by the
//! C++ unwinder, so nobody waits for anything of ours while holding it.

use core::{
    ffi::{CStr, c_int, c_void},
    ops::ControlFlow,
    slice,
};

use libc::{Elf64_Phdr, Elf64_Sym, PT_DYNAMIC, PT_LOAD, dl_phdr_info};

const DT_HASH: u64 = 4;
const DT_STRTAB: u64 = 5;
const DT_SYMTAB: u64 = 6;
const DT_GNU_HASH: u64 = 0x6fff_fef5;
const STT_GNU_IFUNC: u8 = 10;

/// A symbol's name with its hash.
#[derive(Clone, Copy, Debug)]
pub struct Name {
    text: &'static str,
    hash: u32,
}

impl Name {
    /// The name `text`.
    #[must_use]
    pub const fn new(text: &'static str) -> Self {
        Self { text, hash: gnu_hash(text.as_bytes()) }
    }

    /// The name itself.
    #[must_use]
    pub const fn text(&self) -> &'static str {
        self.text
    }
}

const fn gnu_hash(mut bytes: &[u8]) -> u32 {
    let mut hash: u32 = 5381;
    while let [first, rest @ ..] = bytes {
        hash = hash.wrapping_mul(33).wrapping_add(*first as u32);
        bytes = rest;
    }
    hash
}

fn sysv_hash(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |hash: u32, byte| {
        let hash = (hash << 4).wrapping_add(u32::from(*byte));
        let high = hash & 0xf000_0000;
        (hash ^ (high >> 24)) & !high
    })
}

/// One loaded object, for the length of a visit.
pub struct Object<'a> {
    base: usize,
    /// Path it was loaded from; empty for the program itself.
    pub path: &'a CStr,
    headers: &'a [Elf64_Phdr],
}

/// Visits the loaded objects in load order, the program first, until `visit` breaks.
pub fn each(mut visit: impl FnMut(&Object<'_>) -> ControlFlow<()>) {
    let mut visit: &mut dyn FnMut(&Object<'_>) -> ControlFlow<()> = &mut visit;
    // SAFETY: `step` gets back the pointer it expects, and only during this call.
    unsafe { libc::dl_iterate_phdr(Some(step), (&raw mut visit).cast()) };
}

/// A number that grows with every object that is loaded.
#[must_use]
pub fn loads() -> u64 {
    let mut loads = 0;
    // SAFETY: `count` gets back the pointer it expects, and only during this call.
    unsafe { libc::dl_iterate_phdr(Some(count), (&raw mut loads).cast()) };
    loads
}

unsafe extern "C" fn count(info: *mut dl_phdr_info, _: usize, loads: *mut c_void) -> c_int {
    // SAFETY: `dl_iterate_phdr` passes a valid description.
    let adds = unsafe { (*info).dlpi_adds };
    // SAFETY: `loads` passed a pointer to its own number.
    unsafe { *loads.cast::<u64>() = adds };
    1
}

unsafe extern "C" fn step(info: *mut dl_phdr_info, _: usize, visit: *mut c_void) -> c_int {
    // SAFETY: `dl_iterate_phdr` passes a valid description.
    let info = unsafe { &*info };
    if info.dlpi_phdr.is_null() || info.dlpi_name.is_null() {
        return 0;
    }
    // SAFETY: the headers of a loaded object stay mapped while the loader's list is held.
    let headers = unsafe { slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) };
    // SAFETY: a C string of the loader, as above.
    let path = unsafe { CStr::from_ptr(info.dlpi_name) };
    // SAFETY: `each` passed a pointer to its own `visit`.
    let visit = unsafe { &mut *visit.cast::<&mut dyn FnMut(&Object<'_>) -> ControlFlow<()>>() };
    c_int::from(visit(&Object { base: info.dlpi_addr as usize, path, headers }).is_break())
}

/// Visits the objects loaded after the one that contains `inside`.
pub fn each_after(inside: usize, mut visit: impl FnMut(&Object<'_>) -> ControlFlow<()>) {
    let mut passed = false;
    each(|object| {
        if passed {
            return visit(object);
        }
        passed = object.contains(inside);
        ControlFlow::Continue(())
    });
}

/// Address of `name` in the first object after the one that contains `inside` which exports it.
#[must_use]
pub fn find_after(inside: usize, name: &Name) -> Option<usize> {
    let mut found = None;
    each_after(inside, |object| {
        found = object.symbol(name);
        if found.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    found
}

/// What `look` makes of the object that contains `address`; `None` if there is none.
pub fn containing<T>(address: usize, look: impl FnOnce(&Object<'_>) -> T) -> Option<T> {
    let mut look = Some(look);
    let mut seen = None;
    each(|object| {
        if !object.contains(address) {
            return ControlFlow::Continue(());
        }
        seen = look.take().map(|look| look(object));
        ControlFlow::Break(())
    });
    seen
}

impl Object<'_> {
    /// Whether `address` lies in one of the object's segments.
    #[must_use]
    pub fn contains(&self, address: usize) -> bool {
        self.headers.iter().filter(|header| header.p_type == PT_LOAD).any(|header| {
            let start = self.base.wrapping_add(header.p_vaddr as usize);
            address.wrapping_sub(start) < header.p_memsz as usize
        })
    }

    /// First address of the object's segments, and one past the last.
    #[must_use]
    pub fn bounds(&self) -> (usize, usize) {
        let segments = self.headers.iter().filter(|header| header.p_type == PT_LOAD);
        segments.fold((usize::MAX, 0), |(first, end), header| {
            let start = self.base.wrapping_add(header.p_vaddr as usize);
            (first.min(start), end.max(start.wrapping_add(header.p_memsz as usize)))
        })
    }

    /// Last part of the path.
    #[must_use]
    pub fn file_name(&self) -> &[u8] {
        self.path.to_bytes().rsplit(|byte| *byte == b'/').next().unwrap_or_default()
    }

    /// Address of the exported symbol `name`. Indirect functions (IFUNC) are not found.
    #[must_use]
    pub fn symbol(&self, name: &Name) -> Option<usize> {
        let tables = self.tables()?;
        let symbol = match (tables.gnu, tables.sysv) {
            (0, 0) => None,
            (0, _) => tables.find_sysv(name),
            _ => tables.find_gnu(name),
        }?;
        Some(self.base.wrapping_add(symbol.st_value as usize))
    }

    /// Whether some exported symbol is at `address`.
    #[must_use]
    pub fn exports(&self, address: usize) -> bool {
        let value = address.wrapping_sub(self.base) as u64;
        self.tables().is_some_and(|tables| {
            (0..tables.count()).any(|index| {
                let symbol = tables.symbol(index);
                symbol.st_shndx != 0 && symbol.st_value == value
            })
        })
    }

    fn tables(&self) -> Option<Tables> {
        let header = self.headers.iter().find(|header| header.p_type == PT_DYNAMIC)?;
        let mut at = self.base.wrapping_add(header.p_vaddr as usize);
        let mut tables = Tables { gnu: 0, sysv: 0, symbols: 0, strings: 0 };
        loop {
            // SAFETY: the dynamic section of a loaded object is mapped up to its DT_NULL.
            let [tag, value] = unsafe { read::<[u64; 2]>(at) };
            let slot = match tag {
                0 => break,
                DT_HASH => Some(&mut tables.sysv),
                DT_GNU_HASH => Some(&mut tables.gnu),
                DT_SYMTAB => Some(&mut tables.symbols),
                DT_STRTAB => Some(&mut tables.strings),
                _ => None,
            };
            if let Some(slot) = slot {
                // glibc relocates these entries in place; musl and the vDSO leave them alone.
                let value = value as usize;
                *slot = if value < self.base { self.base.wrapping_add(value) } else { value };
            }
            at = at.wrapping_add(16);
        }
        (tables.symbols != 0 && tables.strings != 0).then_some(tables)
    }
}

/// Addresses of an object's symbol tables; 0 where it has none.
struct Tables {
    gnu: usize,
    sysv: usize,
    symbols: usize,
    strings: usize,
}

impl Tables {
    fn find_gnu(&self, name: &Name) -> Option<Elf64_Sym> {
        // SAFETY: the table begins with four words; all reads below stay inside what they say.
        let [buckets, first, words, shift] = unsafe { read::<[u32; 4]>(self.gnu) };
        let bloom = self.gnu + 16;
        let word = (name.hash / 64) & words.wrapping_sub(1);
        // SAFETY: `word` is below the filter's length, a power of two.
        let filter: u64 = unsafe { read(bloom + 8 * word as usize) };
        let wanted = 1 << (name.hash % 64) | 1 << ((name.hash >> (shift & 31)) % 64);
        if filter & wanted != wanted {
            return None;
        }
        let heads = bloom + 8 * words as usize;
        let chains = heads + 4 * buckets as usize;
        let bucket = name.hash.checked_rem(buckets)?;
        // SAFETY: `bucket` is below the number of buckets.
        let mut index: u32 = unsafe { read(heads + 4 * bucket as usize) };
        if index < first {
            return None;
        }
        loop {
            // SAFETY: a chain ends at the entry whose lowest bit is set.
            let hash: u32 = unsafe { read(chains + 4 * index.wrapping_sub(first) as usize) };
            if hash | 1 == name.hash | 1
                && let Some(symbol) = self.exported(index, name)
            {
                return Some(symbol);
            }
            if hash & 1 == 1 {
                return None;
            }
            index = index.wrapping_add(1);
        }
    }

    fn find_sysv(&self, name: &Name) -> Option<Elf64_Sym> {
        // SAFETY: the table begins with two words, the lengths of its two arrays.
        let [buckets, chains] = unsafe { read::<[u32; 2]>(self.sysv) };
        let heads = self.sysv + 8;
        let nexts = heads + 4 * buckets as usize;
        let bucket = sysv_hash(name.text.as_bytes()).checked_rem(buckets)?;
        // SAFETY: `bucket` is below the number of buckets.
        let mut index: u32 = unsafe { read(heads + 4 * bucket as usize) };
        for _ in 0..chains {
            if index == 0 || index >= chains {
                return None;
            }
            if let Some(symbol) = self.exported(index, name) {
                return Some(symbol);
            }
            // SAFETY: `index` is below the number of chain words.
            index = unsafe { read(nexts + 4 * index as usize) };
        }
        None
    }

    /// Number of symbols, as far as the hash table tells.
    fn count(&self) -> u32 {
        if self.gnu == 0 {
            // SAFETY: a System V table's second word is the number of symbols; null was excluded.
            return if self.sysv == 0 { 0 } else { unsafe { read(self.sysv + 4) } };
        }
        // SAFETY: the table begins with four words; all reads below stay inside what they say.
        let [buckets, first, words, _] = unsafe { read::<[u32; 4]>(self.gnu) };
        let heads = self.gnu + 16 + 8 * words as usize;
        let chains = heads + 4 * buckets as usize;
        let last = (0..buckets).map(|bucket| {
            // SAFETY: `bucket` is below the number of buckets.
            unsafe { read::<u32>(heads + 4 * bucket as usize) }
        });
        let mut index = last.max().unwrap_or_default();
        if index < first {
            return first;
        }
        loop {
            // SAFETY: a chain ends at the entry whose lowest bit is set.
            let hash: u32 = unsafe { read(chains + 4 * index.wrapping_sub(first) as usize) };
            index = index.wrapping_add(1);
            if hash & 1 == 1 {
                return index;
            }
        }
    }

    fn symbol(&self, index: u32) -> Elf64_Sym {
        let at = self.symbols + size_of::<Elf64_Sym>() * index as usize;
        // SAFETY: the hash table holds indices of the symbol table only.
        unsafe { read(at) }
    }

    /// The symbol at `index` if it is a definition of `name`.
    fn exported(&self, index: u32, name: &Name) -> Option<Elf64_Sym> {
        let symbol = self.symbol(index);
        let defined = symbol.st_shndx != 0 && symbol.st_value != 0;
        if !defined || symbol.st_info & 15 == STT_GNU_IFUNC {
            return None;
        }
        let text = (self.strings + symbol.st_name as usize) as *const _;
        // SAFETY: a symbol's name is a C string in the string table.
        let text = unsafe { CStr::from_ptr(text) };
        (text.to_bytes() == name.text.as_bytes()).then_some(symbol)
    }
}

/// # Safety
/// `address` is the place of a readable `T`, for which any bits will do.
unsafe fn read<T: Copy>(address: usize) -> T {
    // SAFETY: the caller's promise.
    unsafe { (address as *const T).read_unaligned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inside() -> usize {
        gnu_hash as *const () as usize
    }

    #[test]
    fn finds_what_dlsym_finds_in_every_object() {
        for name in [
            "malloc",
            "free",
            "getauxval",
            "dlsym",
            "dlopen",
            "pthread_create",
            "environ",
            "read",
            "write",
            "open",
            "close",
            "fork",
            "execve",
            "waitpid",
            "socket",
            "exit",
            "qsort",
        ] {
            let text = std::ffi::CString::new(name).unwrap();
            // SAFETY: a C string and a pseudo-handle.
            let want = unsafe { libc::dlsym(libc::RTLD_DEFAULT, text.as_ptr()) } as usize;
            let name = Name { text: name, hash: gnu_hash(name.as_bytes()) };
            let mut found = vec![];
            each(|object| {
                found.extend(object.symbol(&name));
                ControlFlow::Continue(())
            });
            assert!(found.contains(&want), "{name:?}: {found:x?} lacks {want:x}");
        }
    }

    #[test]
    fn a_name_nobody_exports_is_not_found() {
        const NAME: Name = Name::new("memtrace_has_no_such_name");
        each(|object| {
            assert_eq!(object.symbol(&NAME), None);
            ControlFlow::Continue(())
        });
    }

    #[test]
    fn the_program_contains_its_own_functions_and_libc_comes_after_it() {
        assert_eq!(containing(inside(), |object| object.path.is_empty()), Some(true));
        assert_eq!(containing(16, |_| ()), None);
        let dlsym = find_after(inside(), &Name::new("dlsym")).expect("libc exports dlsym");
        let file = containing(dlsym, |object| object.file_name().to_vec()).unwrap();
        assert!(file.starts_with(b"libc.so") || file.starts_with(b"libdl.so"), "{file:?}");
    }

    #[test]
    fn hashes_are_those_of_the_specifications() {
        assert_eq!(gnu_hash(b"printf"), 0x156b_2bb8);
        assert_eq!(sysv_hash(b"printf"), 0x077905a6);
    }
}
