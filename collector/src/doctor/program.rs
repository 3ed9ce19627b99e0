//! The program that shall be traced: what its file says, without running it.

use std::{
    env,
    ffi::{OsStr, OsString},
    fmt::{self, Display, Formatter},
    fs::{self, File},
    io::Read,
    os::unix::{
        ffi::OsStrExt,
        fs::{MetadataExt, PermissionsExt},
    },
    path::{Path, PathBuf},
};

use super::{
    Check,
    elf::{self, Elf, Flaw, Glibc},
    target::{self, Libc},
};
use crate::sys;

const NAME: &str = "program";
/// Scripts whose interpreter is a script that the kernel follows.
const SCRIPTS: usize = 4;

/// What starts when the command is run.
#[derive(Debug)]
pub struct Subject {
    /// Its file; behind scripts, that of their interpreter.
    path: PathBuf,
    /// The script that the command names, if it is one.
    script: Option<PathBuf>,
    /// What the file says.
    file: Result<Elf, Flaw>,
}

impl Subject {
    /// Libraries that the program is linked to itself.
    pub fn needed(&self) -> &[String] {
        self.file.as_ref().map(|elf| elf.needed.as_slice()).unwrap_or_default()
    }
}

impl Display for Subject {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        // A script that was written on Windows names an interpreter with a carriage return.
        let path = self.path.display().to_string().replace('\r', "\\r");
        match &self.script {
            Some(script) => write!(f, "{path} (for {})", script.display()),
            None => write!(f, "{path}"),
        }
    }
}

/// What `command` starts; `None` without a command, or if there is no such file.
pub fn subject(command: &[OsString]) -> Option<Subject> {
    let (mut path, mut script) = (found(command.first()?)?, None);
    for _ in 0..SCRIPTS {
        let Some(interpreter) = interpreter(&path) else { break };
        script.get_or_insert(path);
        path = interpreter;
    }
    let file = elf::read(&path);
    Some(Subject { path, script, file })
}

/// Whether it can be traced; nothing without a command.
pub fn check(command: &[OsString], subject: &Option<Subject>, library: &Path) -> Option<Check> {
    let name = Path::new(command.first()?).display();
    let Some(subject) = subject else {
        return Some(Check::fails(
            NAME,
            format!("there is no program {name}"),
            "give its path; one without a slash is looked for in PATH",
        ));
    };
    let path = subject.to_string();
    Some(match &subject.file {
        Err(Flaw::Bits32) => Check::warning(
            NAME,
            format!("{path} is a 32-bit program, which cannot load the library and says so"),
            "what it starts is traced, if that is 64-bit; CUDA has no 32-bit programs any more",
        ),
        Err(Flaw::Machine) => Check::fails(
            NAME,
            format!("{path} is for another processor"),
            "memtrace traces x86-64 programs",
        ),
        Err(Flaw::Unreadable) if !subject.path.is_file() => Check::fails(
            NAME,
            format!("{path} is not there"),
            "a script's first line names what runs it by its path, and ends with a newline alone",
        ),
        Err(Flaw::Unreadable) => Check::warning(
            NAME,
            format!("{path} cannot be read, so nothing is known about it"),
            "look at it as a user who may read it",
        ),
        Err(Flaw::Other | Flaw::Damaged) => Check::fails(
            NAME,
            format!("{path} is no program"),
            "a script begins with #! and the path of what runs it",
        ),
        Ok(_) if raises_rights(&subject.path) => Check::fails(
            NAME,
            format!(
                "{path} gets rights that its user has not, and the loader then drops LD_PRELOAD"
            ),
            "start it as the user whose rights it takes, from a copy without set-user-id or capabilities",
        ),
        Ok(elf) => by_libc(&path, target::of(elf), target::needed(library)),
    })
}

/// By the C library it runs with, and the glibc that the library needs.
fn by_libc(path: &str, libc: Libc, needed: Option<Glibc>) -> Check {
    match libc {
        Libc::Static => Check::warning(
            NAME,
            format!("{path} is linked statically, so it ignores LD_PRELOAD itself"),
            "what it starts is traced, if that is linked dynamically; to see its own memory, link it so",
        ),
        Libc::Musl => Check::warning(
            NAME,
            format!(
                "{path} runs on musl: the library does it no harm, and NVIDIA's driver needs glibc"
            ),
            "what it starts is traced, if that runs on glibc",
        ),
        Libc::Glibc(None) => Check::ok(NAME, format!("{path}, linked dynamically")),
        Libc::Glibc(Some(version)) if needed > Some(version) => Check::fails(
            NAME,
            format!(
                "{path} runs on glibc {}, and the library needs {}",
                target::number(version),
                needed.map(target::number).unwrap_or_default()
            ),
            "build memtrace on a system as old as that one",
        ),
        Libc::Glibc(Some(version)) => Check::ok(
            NAME,
            format!("{path}, linked dynamically, glibc {}", target::number(version)),
        ),
    }
}

/// Whether starting the file gives rights that this user has not.
fn raises_rights(path: &Path) -> bool {
    let Ok(file) = fs::metadata(path) else { return false };
    let mode = file.permissions().mode();
    (mode & 0o4000 != 0 && file.uid() != sys::user())
        || (mode & 0o2000 != 0 && file.gid() != sys::group())
        || (sys::user() != 0 && sys::has_capabilities(path))
}

/// The file that the system starts for `name`.
fn found(name: &OsStr) -> Option<PathBuf> {
    let is_program = |path: &PathBuf| {
        fs::metadata(path)
            .is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
    };
    if name.as_bytes().contains(&b'/') {
        return Some(PathBuf::from(name)).filter(is_program);
    }
    let folders = env::var_os("PATH")?;
    env::split_paths(&folders).map(|folder| folder.join(name)).find(is_program)
}

/// What runs the script at `path`, whether it is there or not; `None` if it is none.
fn interpreter(path: &Path) -> Option<PathBuf> {
    let mut start = Vec::new();
    File::open(path).ok()?.take(256).read_to_end(&mut start).ok()?;
    let line = start.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    // As the kernel divides it.
    let words = line.split(|byte| b" \t\0".contains(byte));
    let mut words = words.filter(|word| !word.is_empty()).map(OsStr::from_bytes);
    let program = Path::new(words.next()?);
    if program.file_name() != Some(OsStr::new("env")) {
        return Some(program.to_owned());
    }
    // `env -S NAME=value python3 -u`: what it starts is what counts.
    let is_name =
        |word: &&OsStr| !word.as_bytes().starts_with(b"-") && !word.as_bytes().contains(&b'=');
    let name = words.find(is_name)?;
    Some(found(name).unwrap_or_else(|| PathBuf::from(name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Mark;

    fn looked_at(path: &Path) -> Check {
        let command = [path.as_os_str().to_owned()];
        check(&command, &subject(&command), Path::new("/none")).unwrap()
    }

    fn program(path: &Path, bytes: &[u8]) -> Check {
        fs::write(path, bytes).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        looked_at(path)
    }

    #[test]
    fn this_program_can_be_traced_and_one_that_is_not_there_cannot() {
        let own = looked_at(&env::current_exe().unwrap());
        assert!(own.mark == Mark::Ok && own.says.contains("glibc 2."), "{own:?}");
        assert_eq!(looked_at(Path::new("/none/such")).mark, Mark::Fails);
        assert!(check(&[], &None, Path::new("/none")).is_none());
    }

    #[test]
    fn behind_a_script_its_interpreter_counts() {
        let folder = tempfile::tempdir().unwrap();
        let own = env::current_exe().unwrap();
        let script = folder.path().join("inner");
        let outer = folder.path().join("outer");
        program(&script, format!("#!{} -x\n", own.display()).as_bytes());
        let said = program(&outer, format!("#! {}\nrest\n", script.display()).as_bytes());
        assert!(said.says.starts_with(own.to_str().unwrap()), "{said:?}");
        let said = program(&outer, b"#!/usr/bin/env -S A=b sh -u\n");
        assert!(said.mark == Mark::Ok && said.says.contains("/sh (for "), "{said:?}");
        for (line, missing) in [
            ("#!/none/such -u\n", "/none/such (for "),
            ("#!/bin/sh\r\n", "/bin/sh\\r (for "),
            ("#!/usr/bin/env no-such-program\n", "no-such-program (for "),
        ] {
            let said = program(&outer, line.as_bytes());
            assert!(said.mark == Mark::Fails && said.says.starts_with(missing), "{said:?}");
        }
        assert_eq!(program(&outer, b"no program\n").mark, Mark::Fails);
    }

    #[test]
    fn an_older_glibc_than_the_library_needs_is_named_with_both_versions() {
        let check = |version| by_libc("/p", Libc::Glibc(Some(version)), Some((2, 17)));
        assert_eq!((check((2, 17)).mark, check((2, 36)).mark), (Mark::Ok, Mark::Ok));
        let old = check((2, 5));
        assert_eq!(old.mark, Mark::Fails);
        assert_eq!(old.says, "/p runs on glibc 2.5, and the library needs 2.17");
    }

    #[test]
    fn programs_that_ignore_the_library_are_told_of() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("program");
        let own = fs::read(env::current_exe().unwrap()).unwrap();
        let mut narrow = own[..64].to_vec();
        narrow[4] = 1;
        let said = program(&path, &narrow);
        assert!(said.mark == Mark::Warning && said.says.contains("32-bit"), "{said:?}");
        let mut other = own[..64].to_vec();
        other[18] = 183;
        assert_eq!(program(&path, &other).mark, Mark::Fails);
    }

    #[test]
    fn a_program_with_its_owners_rights_drops_what_is_preloaded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("program");
        fs::copy(env::current_exe().unwrap(), &path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o4755)).unwrap();
        assert_eq!(looked_at(&path).mark, Mark::Ok, "one's own rights are nothing new");
        if sys::user() == 0 {
            std::os::unix::fs::chown(&path, Some(1), None).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o4755)).unwrap();
            assert_eq!(looked_at(&path).mark, Mark::Fails);
        }
    }
}
