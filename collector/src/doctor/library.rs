//! The library itself, and its recorder.

use std::path::Path;

use super::{Check, target};
use crate::session::preload;

/// Whether it is there, and a program can load it.
pub fn check(library: &Path) -> Check {
    match preload::loadable(library) {
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
