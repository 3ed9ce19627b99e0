//! The library itself, and its recorder.

use std::path::Path;

use super::{
    Check,
    elf::{self, Flaw},
    target,
};
use crate::session::preload;

/// What the library calls in its recorder first.
const START: &str = "memtrace_core_start";

/// Whether it is there, and a program can load it and its recorder.
pub fn check(library: &Path) -> Check {
    match preload::loadable(library).and_then(|()| recorder(&library.with_file_name(preload::CORE)))
    {
        Ok(()) => {
            let glibc = target::needed(library).map(target::number);
            let needs = glibc.map(|glibc| format!(", needs glibc {glibc}")).unwrap_or_default();
            Check::ok("library", format!("{}, its recorder beside it{needs}", library.display()))
        }
        Err(sentence) => Check::fails(
            "library",
            sentence,
            "keep memtrace, libmemtrace.so and libmemtrace_core.so of one build in one folder, \
             whose path has no space and no colon",
        ),
    }
}

/// Whether the recorder at `path` is what it should be. It is loaded at a program's first use of CUDA.
fn recorder(path: &Path) -> Result<(), String> {
    let why = match elf::read(path) {
        Ok(core) if core.exported.contains_key(START) => return Ok(()),
        Ok(_) => "is not the recorder",
        Err(Flaw::Unreadable) => "cannot be read",
        Err(_) => "is damaged",
    };
    Err(format!("{} {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recorder_that_no_program_can_load_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("core.so");
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let said = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            recorder(&path).unwrap_err()
        };
        assert!(said(&own).ends_with("is not the recorder"));
        assert!(said(&own[..20_000]).ends_with("is damaged"));
        assert!(recorder(&folder.path().join("none")).unwrap_err().ends_with("cannot be read"));
    }
}
