//! The C library that a program runs with.

use std::path::Path;

use super::elf::{self, Elf, Glibc};
use crate::session::preload::CORE;

/// Which C library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Libc {
    /// glibc; `None` where its version cannot be told.
    Glibc(Option<Glibc>),
    /// musl.
    Musl,
    /// None: the program is linked statically.
    Static,
}

/// The C library of a program.
#[must_use]
pub fn of(program: &Elf) -> Libc {
    let Some(interpreter) = &program.interpreter else { return Libc::Static };
    let name = interpreter.file_name().unwrap_or_default().to_string_lossy();
    if name.starts_with("ld-musl") {
        return Libc::Musl;
    }
    // glibc installs its loader and its library into one folder.
    let loader = interpreter.canonicalize().unwrap_or_else(|_| interpreter.clone());
    let library = elf::read(&loader.with_file_name("libc.so.6"));
    Libc::Glibc(library.ok().and_then(|library| library.is_glibc))
}

/// The newest glibc that the library at `library` or its recorder needs.
#[must_use]
pub fn needed(library: &Path) -> Option<Glibc> {
    let needs = |path: &Path| elf::read(path).ok()?.needs_glibc;
    needs(library).max(needs(&library.with_file_name(CORE)))
}

/// `2.17`
#[must_use]
pub fn number((major, minor): Glibc) -> String {
    format!("{major}.{minor}")
}
