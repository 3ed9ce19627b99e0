//! An object's symbol tables, read where they lie.

use core::ffi::CStr;

use libc::Elf64_Sym;

use super::Name;

const DT_HASH: u64 = 4;
const DT_STRTAB: u64 = 5;
const DT_SYMTAB: u64 = 6;
const DT_GNU_HASH: u64 = 0x6fff_fef5;
const DT_VERSYM: u64 = 0x6fff_fff0;
/// Of a symbol's version: another one is the default.
const NOT_DEFAULT: u16 = 1 << 15;
const STT_GNU_IFUNC: u8 = 10;

fn sysv_hash(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |hash: u32, byte| {
        let hash = (hash << 4).wrapping_add(u32::from(*byte));
        let high = hash & 0xf000_0000;
        (hash ^ (high >> 24)) & !high
    })
}

/// Where an object's symbol tables are; 0 where it has none.
pub struct Tables {
    base: usize,
    gnu: usize,
    sysv: usize,
    symbols: usize,
    strings: usize,
    versions: usize,
}

impl Tables {
    /// The tables of an object loaded at `base` whose dynamic section, that of a loaded object, is
    /// at `dynamic`.
    pub fn read(base: usize, dynamic: usize) -> Option<Self> {
        let mut at = dynamic;
        let mut tables = Self { base, gnu: 0, sysv: 0, symbols: 0, strings: 0, versions: 0 };
        loop {
            // SAFETY: the dynamic section of a loaded object is mapped up to its DT_NULL.
            let [tag, value] = unsafe { read::<[u64; 2]>(at) };
            let slot = match tag {
                0 => break,
                DT_HASH => Some(&mut tables.sysv),
                DT_GNU_HASH => Some(&mut tables.gnu),
                DT_SYMTAB => Some(&mut tables.symbols),
                DT_STRTAB => Some(&mut tables.strings),
                DT_VERSYM => Some(&mut tables.versions),
                _ => None,
            };
            if let Some(slot) = slot {
                // glibc relocates these entries in place; musl and the vDSO leave them alone.
                let value = value as usize;
                *slot = if value < base { base.wrapping_add(value) } else { value };
            }
            at = at.wrapping_add(16);
        }
        (tables.symbols != 0 && tables.strings != 0).then_some(tables)
    }

    /// Address of the exported symbol `name`: of several versions the one that `dlsym` finds.
    pub fn find(&self, name: &Name) -> Option<usize> {
        let symbol = match (self.gnu, self.sysv) {
            (0, 0) => None,
            (0, _) => self.find_sysv(name),
            _ => self.find_gnu(name),
        }?;
        Some(self.base.wrapping_add(symbol.st_value as usize))
    }

    /// Whether some exported symbol is at `address`.
    pub fn exports(&self, address: usize) -> bool {
        let value = address.wrapping_sub(self.base) as u64;
        (0..self.count()).any(|index| {
            let symbol = self.symbol(index);
            symbol.st_shndx != 0 && symbol.st_value == value
        })
    }

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
        let mut older = None;
        loop {
            // SAFETY: a chain ends at the entry whose lowest bit is set.
            let hash: u32 = unsafe { read(chains + 4 * index.wrapping_sub(first) as usize) };
            if hash | 1 == name.hash | 1
                && let Some(symbol) = self.exported(index, name)
            {
                if self.is_default(index) {
                    return Some(symbol);
                }
                older = older.or(Some(symbol));
            }
            if hash & 1 == 1 {
                return older;
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
        let mut older = None;
        for _ in 0..chains {
            if index == 0 || index >= chains {
                break;
            }
            if let Some(symbol) = self.exported(index, name) {
                if self.is_default(index) {
                    return Some(symbol);
                }
                older = older.or(Some(symbol));
            }
            // SAFETY: `index` is below the number of chain words.
            index = unsafe { read(nexts + 4 * index as usize) };
        }
        older
    }

    /// Whether the symbol at `index` is the one that a reference without a version means.
    fn is_default(&self, index: u32) -> bool {
        // SAFETY: the table of versions is as long as the symbol table; an object may have none.
        self.versions == 0
            || unsafe { read::<u16>(self.versions + 2 * index as usize) } & NOT_DEFAULT == 0
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
pub unsafe fn read<T: Copy>(address: usize) -> T {
    // SAFETY: the caller's promise.
    unsafe { (address as *const T).read_unaligned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_the_specifications() {
        assert_eq!(super::super::gnu_hash(b"printf"), 0x156b_2bb8);
        assert_eq!(sysv_hash(b"printf"), 0x077905a6);
    }
}
