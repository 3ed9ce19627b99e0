//! Where the loader finds what `LD_PRELOAD` names.

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{self, PathBuf},
    process::{Command, Stdio},
};

use crate::session::preload;

/// What the loader puts the program's own folder for, after a `$`.
const ORIGIN: &[u8] = b"ORIGIN";

/// Where the file of an entry is.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// Here.
    At(PathBuf),
    /// Here, and it is none that a program can load: each process says so, and starts without it.
    Useless,
    /// Nowhere: each process says so, and starts without it.
    Nowhere,
    /// That could not be told.
    Untold,
}

/// Where the loader finds `name` for a program that is started here.
pub fn find(name: &OsStr) -> Found {
    // Without a slash the loader looks through its folders; and it puts its own words for `$LIB` and such.
    if !name.as_bytes().contains(&b'/') || name.as_bytes().contains(&b'$') {
        // That is another folder for each program.
        let is_of_program = name.as_bytes().windows(ORIGIN.len()).any(|part| part == ORIGIN);
        return if is_of_program { Found::Untold } else { ask(name) };
    }
    match path::absolute(name) {
        Ok(path) if path.exists() => Found::At(path),
        _ => Found::Nowhere,
    }
}

/// Lets the loader itself say, which then starts no program and runs nothing of the library.
fn ask(name: &OsStr) -> Found {
    let mut command = Command::new("/bin/true");
    command.env("LD_TRACE_LOADED_OBJECTS", "1").env(preload::PRELOAD, name).stdin(Stdio::null());
    let Ok(said) = command.output() else { return Found::Untold };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    understand(&name.to_string_lossy(), &text(&said.stdout), &text(&said.stderr))
}

/// What glibc's loader lists, one library a line, and what it complains of. Another's says something else.
fn understand(name: &str, listed: &str, complaint: &str) -> Found {
    let path_of = |line: &str| {
        let path = line.trim_start().strip_prefix(name)?.strip_prefix(" => ")?.rsplit_once(" (")?.0;
        path::absolute(path).ok()
    };
    match listed.lines().find_map(path_of) {
        Some(path) => Found::At(path),
        None if complaint.contains(&format!("object '{name}' from LD_PRELOAD")) => Found::Nowhere,
        None => Found::Untold,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_loader_says_is_understood() {
        let listed = "\tlinux-vdso.so.1 (0x00007ffb3917b000)\n\
                      \tliba.so => /opt/a b/liba.so (0x00007ffb3908a000)\n\
                      \tlibc.so.6 => /lib/libc.so.6 (0x00007ffb38ea8000)\n";
        let complaint = "ERROR: ld.so: object 'libb.so' from LD_PRELOAD cannot be preloaded (cannot open \
                         shared object file): ignored.\n";
        let found = |name| understand(name, listed, complaint);
        assert_eq!(found("liba.so"), Found::At("/opt/a b/liba.so".into()));
        assert_eq!(found("libb.so"), Found::Nowhere);
        assert_eq!(found("lib.so"), Found::Untold, "nothing is said of it");
    }

    #[test]
    fn an_entry_with_a_slash_is_a_path() {
        assert_eq!(find("/none/such.so".as_ref()), Found::Nowhere);
        assert_eq!(find("./none/such.so".as_ref()), Found::Nowhere);
        for name in ["$ORIGIN/such.so", "${ORIGIN}/such.so"] {
            assert_eq!(find(name.as_ref()), Found::Untold, "it may be beside the program");
        }
        let here = path::absolute("Cargo.toml").unwrap();
        assert_eq!(find("./Cargo.toml".as_ref()), Found::At(here));
    }

    #[test]
    fn the_loader_is_asked_for_an_entry_without_a_slash() {
        assert_eq!(find("libmemtrace-none-such.so".as_ref()), Found::Nowhere);
        assert!(matches!(find("libc.so.6".as_ref()), Found::At(path) if path.is_file()));
    }
}
