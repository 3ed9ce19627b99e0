//! Putting the library into the command's environment.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt,
    path::Path,
    process::{Command, Stdio},
};

use crate::process::redact;

/// The variable that names what is loaded into a program before its own libraries.
pub(crate) const PRELOAD: &str = "LD_PRELOAD";
/// Where NVTX finds the library that hears its ranges.
const NVTX: &str = "NVTX_INJECTION64_PATH";
/// The recorder, which the library opens beside itself.
pub(crate) const CORE: &str = "libmemtrace_core.so";

/// Tries the library on a program that does nothing: one that cannot be loaded would print a line
/// in every process of the job, or keep them from starting.
///
/// # Errors
/// One sentence: why no process can be traced with it.
pub fn loadable(library: &Path) -> Result<(), String> {
    let wrong = |why: &str| format!("{} {why}", library.display());
    if library.as_os_str().as_bytes().iter().any(|byte| b": \t\n".contains(byte)) {
        return Err(wrong("cannot be preloaded: there is a colon or a space in its path"));
    }
    if !library.is_absolute() {
        return Err(wrong("cannot be preloaded: its path is not absolute"));
    }
    if !library.is_file() {
        return Err(wrong("is not there"));
    }
    if !library.with_file_name(CORE).is_file() {
        return Err(wrong(&format!("cannot record: {CORE} is not beside it")));
    }
    let mut command = Command::new("/bin/true");
    command.env(PRELOAD, library).stdin(Stdio::null()).stdout(Stdio::null());
    match command.stderr(Stdio::piped()).output() {
        Ok(output) if !output.status.success() || !output.stderr.is_empty() => {
            let said = String::from_utf8_lossy(&output.stderr);
            let said = said.lines().next().unwrap_or("no message").to_owned();
            Err(wrong(&format!("cannot be loaded: {said}")))
        }
        // Without /bin/true nothing can be said.
        _ => Ok(()),
    }
}

/// Sets the environment of the command. Another tool that listens to NVTX goes on doing so: there is
/// room for one.
pub fn set(command: &mut Command, library: &Path, rings: &Path) {
    command.env(PRELOAD, value(library)).env("MEMTRACE_DIR", rings);
    if is_free(std::env::var_os(NVTX).as_deref()) {
        command.env(NVTX, library);
    }
}

fn is_free(nvtx: Option<&OsStr>) -> bool {
    nvtx.is_none_or(OsStr::is_empty)
}

/// The environment that a job needs to be traced, as a person puts it before a command.
#[must_use]
pub fn environment(library: &Path) -> String {
    let value = |value: &OsStr| redact::quote(&value.to_string_lossy());
    let preload = format!("{PRELOAD}={}", value(&self::value(library)));
    if !is_free(std::env::var_os(NVTX).as_deref()) {
        return preload;
    }
    format!("{preload} {NVTX}={}", value(library.as_os_str()))
}

/// Our library after what is there already: others' libraries that hook the same functions go on
/// being asked first, and hand on to us.
fn value(library: &Path) -> OsString {
    appended(std::env::var_os(PRELOAD).as_deref(), library)
}

fn appended(before: Option<&OsStr>, library: &Path) -> OsString {
    let before = before.filter(|before| !before.is_empty());
    let is_there = |before: &OsStr| {
        let mut parts = before.as_bytes().split(|byte| b": ".contains(byte));
        parts.any(|part| part == library.as_os_str().as_bytes())
    };
    match before {
        None => library.as_os_str().to_owned(),
        Some(before) if is_there(before) => before.to_owned(),
        Some(before) => {
            let mut value = before.to_owned();
            value.push(":");
            value.push(library);
            value
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_preloaded_before_stays_and_nothing_twice() {
        let library = Path::new("/opt/libmemtrace.so");
        assert_eq!(appended(None, library), "/opt/libmemtrace.so");
        assert_eq!(appended(Some("".as_ref()), library), "/opt/libmemtrace.so");
        assert_eq!(
            appended(Some("/a.so b.so".as_ref()), library),
            "/a.so b.so:/opt/libmemtrace.so"
        );
        let there = "/opt/libmemtrace.so:/a.so";
        assert_eq!(appended(Some(there.as_ref()), library), there);
    }

    #[test]
    fn one_tool_listens_to_nvtx_and_the_one_that_did_goes_on() {
        assert!(is_free(None) && is_free(Some("".as_ref())));
        assert!(!is_free(Some("/opt/nsight/libToolsInjection64.so".as_ref())));
    }

    #[test]
    fn a_library_that_cannot_be_loaded_is_refused_with_a_reason() {
        let (folder, alone) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let file = |name: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, "no library").unwrap();
            std::fs::write(folder.path().join(CORE), "no library").unwrap();
            path
        };
        let lonely = alone.path().join("x.so");
        std::fs::write(&lonely, "no library").unwrap();
        for (path, why) in [
            (file("x.so"), "cannot be loaded"),
            (lonely, "libmemtrace_core.so is not beside it"),
            (file("a b.so"), "space"),
            (folder.path().join("none.so"), "not there"),
            ("x.so".into(), "not absolute"),
        ] {
            let text = loadable(&path).unwrap_err();
            assert!(text.contains(why), "{text}");
        }
    }
}
