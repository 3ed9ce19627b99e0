//! What else is preloaded, in which order, and whom that may trouble.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use super::{
    Check,
    elf::{self, Elf},
    loader::{self, Found},
    program::Subject,
};

const NAME: &str = "preloads";
/// Loaded into every process of the system, after those of `LD_PRELOAD`.
const SYSTEM: &str = "/etc/ld.so.preload";
/// The library of torch_memory_saver goes by this, and finds itself by it.
const SAVER: &[u8] = b"torch_memory_saver";

/// One library that is preloaded.
#[derive(Debug, PartialEq, Eq)]
struct Preload {
    name: OsString,
    /// Where the loader finds it.
    found: Found,
    /// What the file says; `None` for what the loader does not find, and for what it cannot load.
    elf: Option<Shared>,
}

impl Preload {
    fn is(&self, library: &Path) -> bool {
        let Found::At(own) = &self.found else { return false };
        own == library || own.canonicalize().is_ok_and(|own| own == library)
    }
}

/// How many of our functions a library has too, `dlsym` among them.
#[derive(Debug, PartialEq, Eq)]
struct Shared {
    functions: usize,
    has_dlsym: bool,
}

/// Looks at what comes before and after the library at `library`.
pub fn checks(library: &Path, subject: &Option<Subject>) -> Vec<Check> {
    let own = elf::read(library).unwrap_or_default();
    let user = env::var_os("LD_PRELOAD").unwrap_or_default();
    let system = fs::read(SYSTEM).unwrap_or_default();
    let mut checks = Vec::new();
    let listed = |text: &OsStr| -> Vec<Preload> {
        names(text).into_iter().map(|name| preload(name, &own)).collect()
    };
    let (user, system) = (listed(&user), listed(OsStr::from_bytes(&system)));
    checks.extend(troubles(library, &user, &system));
    let options = env::var("ASAN_OPTIONS").unwrap_or_default();
    checks.extend(sanitizer(subject, &user).filter(|_| looks_at_order(&options)));
    if checks.is_empty() {
        checks.push(Check::ok(NAME, order(library, &user, &system)));
    }
    checks
}

/// The entries of a list: the loader takes colons and white space for ends.
fn names(list: &OsStr) -> Vec<OsString> {
    let is_end = |byte: &u8| *byte == b':' || byte.is_ascii_whitespace();
    let parts = list.as_bytes().split(is_end).filter(|part| !part.is_empty());
    parts.map(|part| OsStr::from_bytes(part).to_owned()).collect()
}

fn preload(name: OsString, own: &Elf) -> Preload {
    let found = loader::find(&name);
    let Found::At(path) = &found else { return Preload { name, found, elf: None } };
    let Ok(theirs) = elf::read(path) else {
        return Preload { name, found: Found::Useless, elf: None };
    };
    let elf = Some(Shared {
        functions: theirs.exported.keys().filter(|name| own.exported.contains_key(*name)).count(),
        has_dlsym: theirs.exported.contains_key("dlsym"),
    });
    Preload { name, found, elf }
}

/// What is to be said of an entry that is loaded into no process, or maybe into none.
fn missing(preload: &Preload) -> Option<Check> {
    let name = preload.name.to_string_lossy();
    let is_path = name.contains('/');
    let says = match &preload.found {
        Found::At(_) => return None,
        Found::Useless => {
            format!("{name} is no library that a program here can load, and each process says so")
        }
        Found::Untold => format!("whether the loader finds {name} could not be told"),
        Found::Nowhere if name.starts_with('/') => {
            format!("{name} is not there, and each process says so")
        }
        Found::Nowhere if is_path => {
            format!("{name} is not there, seen from this folder, and each process says so")
        }
        Found::Nowhere => {
            format!("{name} is in none of the loader's folders, and each process says so")
        }
    };
    let advice = if name.starts_with('/') || preload.found == Found::Useless {
        "take it out of LD_PRELOAD"
    } else {
        "give its absolute path, or take it out of LD_PRELOAD"
    };
    Some(Check::warning(NAME, says, advice))
}

fn troubles(library: &Path, user: &[Preload], system: &[Preload]) -> Vec<Check> {
    let mut checks = Vec::new();
    let is_ours = |preload: &&Preload| preload.is(library);
    for preload in user.iter().chain(system) {
        let name = preload.name.to_string_lossy();
        let file = Path::new(&preload.name);
        if preload.is(library) {
            continue;
        }
        if let Some(check) = missing(preload) {
            checks.push(check);
        } else if file.file_name() == library.file_name() {
            checks.push(Check::fails(
                NAME,
                format!("{name} is preloaded, another libmemtrace.so than {}", library.display()),
                "take it out of LD_PRELOAD: two of them would both record",
            ));
        }
    }
    if user.iter().filter(is_ours).count() == 0 && system.iter().any(|p| is_ours(&p)) {
        checks.push(Check::warning(
            NAME,
            format!("{SYSTEM} preloads the library into every process of the system"),
            "for one job, put it into LD_PRELOAD of that job",
        ));
    }
    let is_saver = |name: &OsStr| name.as_bytes().windows(SAVER.len()).any(|part| part == SAVER);
    let others = user.iter().filter(|preload| !is_ours(preload) && is_saver(&preload.name)).count();
    if others > 1 || is_saver(library.as_os_str()) {
        checks.push(Check::warning(
            NAME,
            "torch_memory_saver wants one entry of LD_PRELOAD with its name in it, and finds several",
            "name it once, and keep its name out of the path of memtrace",
        ));
    }
    checks
}

/// AddressSanitizer as a library of its own has to be the first of all, or it ends the program.
fn sanitizer(subject: &Option<Subject>, user: &[Preload]) -> Option<Check> {
    let is_asan = |name: &str| name.contains("libasan.so") || name.contains("libclang_rt.asan");
    let asan = subject.as_ref()?.needed().iter().find(|name| is_asan(name))?;
    let first = user.first().map(|preload| preload.name.to_string_lossy());
    if first.is_some_and(|first| is_asan(&first)) {
        return None;
    }
    Some(Check::fails(
        NAME,
        format!(
            "the program is linked to {asan}, which ends it when anything is preloaded before it"
        ),
        "put that library first: LD_PRELOAD=$(cc -print-file-name=libasan.so), or link with \
         -static-libasan",
    ))
}

/// Whether AddressSanitizer with these options wants to be the first.
fn looks_at_order(options: &str) -> bool {
    let off = |value: &str| ["0", "false", "no"].contains(&value);
    let is_end = |c: char| ":, \t\n\r".contains(c);
    let mut latest_first = options.rsplit(is_end);
    let said = latest_first.find_map(|one| one.strip_prefix("verify_asan_link_order="));
    !said.is_some_and(off)
}

/// An entry that is a path.
fn listed_as(name: OsString) -> Preload {
    let found = Found::At(PathBuf::from(&name));
    Preload { name, found, elf: None }
}

/// The order in which they are asked for the functions that they share.
fn order(library: &Path, user: &[Preload], system: &[Preload]) -> String {
    let is_there = user.iter().any(|preload| preload.is(library));
    let ours = listed_as(library.as_os_str().to_owned());
    let last = (!is_there).then_some(&ours);
    let all = user.iter().chain(last).chain(system);
    let shown = |preload: &Preload| {
        let name = PathBuf::from(&preload.name);
        let name = name.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match &preload.elf {
            Some(Shared { functions, has_dlsym }) if !preload.is(library) && *functions > 0 => {
                let lookup = if *has_dlsym { ", dlsym among them" } else { "" };
                format!("{name} ({functions} of our functions{lookup})")
            }
            _ => name,
        }
    };
    let names: Vec<String> = all.map(shown).collect();
    if names.len() == 1 {
        return "nothing else is preloaded".to_owned();
    }
    format!("asked in this order: {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(names: &[&str]) -> Vec<Preload> {
        names.iter().map(|name| listed_as(name.into())).collect()
    }

    #[test]
    fn entries_end_at_colons_and_spaces() {
        assert_eq!(names(OsStr::new(" /a.so:b.so  /c.so\n")), ["/a.so", "b.so", "/c.so"]);
        assert!(names(OsStr::new("")).is_empty());
    }

    #[test]
    fn the_order_is_that_of_the_loader() {
        let library = Path::new("/opt/libmemtrace.so");
        assert_eq!(order(library, &[], &[]), "nothing else is preloaded");
        let (mut user, system) = (plain(&["/a/libhami.so"]), plain(&["/s.so"]));
        user[0].elf = Some(Shared { functions: 3, has_dlsym: true });
        assert_eq!(
            order(library, &user, &system),
            "asked in this order: libhami.so (3 of our functions, dlsym among them), \
             libmemtrace.so, s.so"
        );
        user.insert(0, listed_as(library.into()));
        assert!(order(library, &user, &[]).starts_with("asked in this order: libmemtrace.so, lib"));
    }

    #[test]
    fn a_sanitizer_that_is_told_so_does_not_look_at_the_order() {
        for options in [
            "",
            "verbosity=1",
            "verify_asan_link_order=1",
            "verify_asan_link_order=0:verify_asan_link_order=1",
        ] {
            assert!(looks_at_order(options), "{options}");
        }
        for options in ["verify_asan_link_order=0", "verbosity=1:verify_asan_link_order=false"] {
            assert!(!looks_at_order(options), "{options}");
        }
    }

    #[test]
    fn what_the_loader_does_not_find_is_told_by_how_it_was_named() {
        let said = |name: &str, found| {
            let checks = troubles(
                Path::new("/opt/libmemtrace.so"),
                &[Preload { name: name.into(), found, elf: None }],
                &[],
            );
            let told = checks.into_iter().map(|check| check.says + "; " + &check.advice.unwrap());
            told.collect::<Vec<_>>().join("\n")
        };
        assert!(said("/none/x.so", Found::Nowhere).starts_with("/none/x.so is not there, and"));
        assert!(said("./x.so", Found::Nowhere).contains("seen from this folder"));
        assert!(said("libx.so", Found::Nowhere).contains("none of the loader's folders"));
        assert!(said("libx.so", Found::Untold).contains("could not be told"));
        assert!(said("libx.so", Found::Nowhere).ends_with("or take it out of LD_PRELOAD"));
        assert_eq!(said("libx.so", Found::At("/usr/lib/libx.so".into())), "");
    }

    #[test]
    fn what_is_there_and_is_no_library_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.so");
        std::fs::write(&file, "no library").unwrap();
        for path in [&file, folder.path()] {
            let check = missing(&preload(path.into(), &Elf::default())).unwrap();
            assert!(check.says.ends_with("can load, and each process says so"), "{check:?}");
        }
        let own = preload(env::current_exe().unwrap().into(), &Elf::default());
        assert_eq!(missing(&own), None);
    }

    #[test]
    fn what_is_twice_there_or_misnamed_is_told() {
        let library = Path::new("/opt/libmemtrace.so");
        let said = |library: &Path, user: &[&str], system: &[&str]| {
            let checks = troubles(library, &plain(user), &plain(system));
            checks.into_iter().map(|check| check.says).collect::<Vec<_>>().join("; ")
        };
        assert_eq!(said(library, &["libx.so", "/opt/libmemtrace.so"], &[]), "");
        assert!(said(library, &["libmemtrace.so"], &[]).contains("another libmemtrace.so"));
        assert!(said(library, &[], &["/opt/libmemtrace.so"]).contains("every process"));
        let savers = ["libtorch_memory_saver_a.so", "libtorch_memory_saver_b.so"];
        assert_eq!(said(library, &savers[..1], &[]), "");
        assert!(said(library, &savers, &[]).contains("finds several"));
        let inside = Path::new("/torch_memory_saver/libmemtrace.so");
        assert!(said(inside, &[], &[]).contains("finds several"));
    }
}
