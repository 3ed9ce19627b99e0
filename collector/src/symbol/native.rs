//! Native code: which build a file is, and the names of functions in it.
//!
//! Names cost: a symbol table of PyTorch has 400,000 entries. They are asked for in one batch per
//! file, and only for what is shown.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write,
    os::unix::fs::MetadataExt,
    path::PathBuf,
    sync::Arc,
};

use blazesym::symbolize::{
    Input, Symbolizer,
    source::{Elf, Source},
};

use super::build_id;
use crate::ledger::Module;

/// Characters of a function's name that are kept; C++ names run to thousands.
const NAME_LIMIT: usize = 160;

/// A file that was mapped.
#[derive(Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct File {
    /// Path in the traced process.
    pub path: String,
    /// Build-id in lower-case hex; `None` where the file has none, is gone, or was replaced since.
    pub build_id: Option<String>,
    /// Where the file that was mapped can still be read; `None` if it is gone or was replaced.
    pub readable: Option<PathBuf>,
}

/// The files seen so far, each looked at once.
#[derive(Debug, Default)]
pub struct Files {
    seen: HashMap<(String, u64), Arc<File>>,
}

impl Files {
    /// The file of a mapping. `pid` is the process while it lives: in a container its files are
    /// reached through it.
    pub fn of(&mut self, module: &Module, pid: Option<u32>) -> Arc<File> {
        let key = (module.path.clone(), module.inode);
        Arc::clone(self.seen.entry(key).or_insert_with(|| Arc::new(look_at(module, pid))))
    }
}

fn look_at(module: &Module, pid: Option<u32>) -> File {
    let through_process = pid.map(|pid| PathBuf::from(format!("/proc/{pid}/root{}", module.path)));
    let readable = [Some(PathBuf::from(&module.path)), through_process]
        .into_iter()
        .flatten()
        .find(|path| path.metadata().is_ok_and(|data| data.ino() == module.inode));
    let build_id = readable.as_ref().and_then(|path| build_id::read(path)).map(|id| hex(&id));
    File { path: module.path.clone(), build_id, readable }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Names of functions by file and offset of the return address.
#[derive(Debug, Default)]
pub struct Names {
    by_place: HashMap<(Arc<File>, u64), String>,
}

impl Names {
    /// Looks all `places` up: files and offsets of return addresses in them.
    #[must_use]
    pub fn look_up<'a>(places: impl IntoIterator<Item = (&'a Arc<File>, u64)>) -> Self {
        let mut by_file: BTreeMap<&Arc<File>, Vec<u64>> = BTreeMap::new();
        for (file, offset) in places {
            by_file.entry(file).or_default().push(offset);
        }
        let symbolizer = Symbolizer::builder().enable_auto_reload(false).build();
        let mut by_place = HashMap::new();
        for (file, mut offsets) in by_file {
            let Some(path) = &file.readable else { continue };
            offsets.sort_unstable();
            offsets.dedup();
            // The call is before the return address, maybe the last of its function.
            let calls: Vec<u64> = offsets.iter().map(|offset| offset.saturating_sub(1)).collect();
            let source = Source::Elf(Elf::new(path));
            let Ok(found) = symbolizer.symbolize(&source, Input::FileOffset(&calls)) else {
                continue;
            };
            for (offset, symbol) in offsets.into_iter().zip(found) {
                if let Some(symbol) = symbol.into_sym() {
                    by_place.insert((Arc::clone(file), offset), shortened(&symbol.name));
                }
            }
        }
        Self { by_place }
    }

    /// The function that called from `offset` in `file`.
    #[must_use]
    pub fn function(&self, file: &Arc<File>, offset: u64) -> Option<&str> {
        self.by_place.get(&(Arc::clone(file), offset)).map(String::as_str)
    }
}

fn shortened(name: &str) -> String {
    match name.char_indices().nth(NAME_LIMIT) {
        None => name.to_owned(),
        Some((end, _)) => format!("{}…", &name[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn this_program(inode: u64) -> Module {
        let path = std::env::current_exe().unwrap();
        Module { start: 0, end: 1, offset: 0, path: path.to_str().unwrap().into(), inode }
    }

    fn inode_of_this_program() -> u64 {
        std::env::current_exe().unwrap().metadata().unwrap().ino()
    }

    #[test]
    fn a_file_that_was_replaced_is_not_read() {
        let mut files = Files::default();
        assert!(files.of(&this_program(inode_of_this_program()), None).readable.is_some());
        let replaced = files.of(&this_program(1), None);
        assert_eq!((replaced.readable.as_ref(), replaced.build_id.as_ref()), (None, None));
        assert_eq!(Names::look_up([(&replaced, 64)]).function(&replaced, 64), None);
    }

    #[test]
    fn a_function_is_found_by_its_offset_in_the_file() {
        // Where this function lies in the file, by the mapping it was loaded through.
        let here = a_function_is_found_by_its_offset_in_the_file as *const () as u64;
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let offset = maps.lines().find_map(|line| {
            let mut words = line.split_whitespace();
            let (start, end) = words.next()?.split_once('-')?;
            let start = u64::from_str_radix(start, 16).ok()?;
            let end = u64::from_str_radix(end, 16).ok()?;
            let offset = u64::from_str_radix(words.nth(1)?, 16).ok()?;
            (start <= here && here < end).then_some(here - start + offset)
        });
        let file = Files::default().of(&this_program(inode_of_this_program()), None);
        let start = offset.unwrap();
        let names = Names::look_up([(&file, start), (&file, start + 1)]);
        let name = |offset| names.function(&file, offset).unwrap_or_default();
        let this = "a_function_is_found_by_its_offset_in_the_file";
        assert!(name(start + 1).contains(this), "{}", name(start + 1));
        assert!(!name(start).contains(this), "a call that returns to here is of the one before");
    }

    #[test]
    fn long_names_are_cut_between_characters() {
        let name = "ä".repeat(NAME_LIMIT + 1);
        assert_eq!(shortened(&name).chars().count(), NAME_LIMIT + 1);
        assert_eq!(shortened("f(int)"), "f(int)");
    }
}
