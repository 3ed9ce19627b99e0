//! Which of the hooked names come back as hooks, however they are asked for.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::CString,
    path::Path,
};

use serde::{Deserialize, Serialize};

use super::{Check, elf::Elf};
use crate::{
    present::text::count,
    sys::cuda::{self, Driver, Form, Function},
};

/// Versions that are asked for, as `cuGetProcAddress` counts: each that CUDA could have had, and
/// some that it may have one day.
const MAJORS: std::ops::RangeInclusive<i32> = 2..=14;
/// The legacy default stream unsaid and said, and the thread's own.
const FLAGS: [u64; 3] = [0, 1, 2];
/// Names told of each kind in a sentence.
const TOLD: usize = 3;

/// What became of the names in one process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names {
    /// Functions of the driver that the library hooks.
    pub hooked: usize,
    /// Those of them that this driver has.
    pub found: usize,
    /// Answers of `cuGetProcAddress` about them that were looked at.
    pub answers: usize,
    /// Questions whose answer should be a hook and is none.
    pub bare: BTreeSet<String>,
    /// Names that are not hooked, and are answered otherwise than without the library.
    pub altered: BTreeSet<String>,
    /// Names that the driver answered with an address that none of its symbols has.
    pub unknown: BTreeSet<String>,
    /// Names that the driver answered with a later version of the function than is hooked.
    pub later: BTreeSet<String>,
    /// Libraries that answer before ours, to programs that are linked to the names or look them up,
    /// and for how many names.
    pub before: BTreeMap<String, usize>,
}

/// Asks for each name in each way. `library` and `real` are what the files of our library and of the
/// driver say.
pub fn ask(driver: &Driver, path: &Path, library: &Elf, real: &Elf) -> Names {
    let hooks = library.exported.keys().filter(|name| name.starts_with("cu"));
    let mut asked = Asked {
        driver,
        path,
        hooks: hooks.map(String::as_str).collect(),
        symbols: BTreeMap::new(),
        before: BTreeMap::new(),
        names: Names::default(),
    };
    for (name, offset) in &real.exported {
        asked.symbols.entry(*offset).or_default().push(name);
    }
    asked.names.hooked = asked.hooks.len();
    asked.by_name(real);
    for (symbol, form) in [("cuGetProcAddress", Form::Four), ("cuGetProcAddress_v2", Form::Five)] {
        let (Some(hook), Some(offset)) = (driver.found(symbol), real.exported.get(symbol)) else {
            continue;
        };
        asked.by_query((hook, form), (driver.real(*offset), form));
    }
    let before = asked.before.into_iter().map(|(file, names)| (file, names.len()));
    Names { before: before.collect(), ..asked.names }
}

/// The names while they are asked for.
struct Asked<'a> {
    driver: &'a Driver,
    /// Our library's file.
    path: &'a Path,
    hooks: BTreeSet<&'a str>,
    /// The driver's symbols by their place in its file.
    symbols: BTreeMap<u64, Vec<&'a String>>,
    /// As in [`Names`], with the names.
    before: BTreeMap<String, BTreeSet<String>>,
    names: Names,
}

impl Asked<'_> {
    fn is_ours(&self, function: Function) -> bool {
        cuda::file_of(function).is_some_and(|file| {
            file == self.path || file.canonicalize().is_ok_and(|file| file == self.path)
        })
    }

    /// Asks `dlsym`, and looks whom the loader binds a linked program to.
    fn by_name(&mut self, real: &Elf) {
        for (name, offset) in real.exported.iter().filter(|(name, _)| name.starts_with("cu")) {
            let Some(found) = self.driver.found(name) else { continue };
            if !self.hooks.contains(name.as_str()) {
                if found != self.driver.real(*offset) {
                    self.names.altered.insert(name.clone());
                }
                continue;
            }
            self.names.found += 1;
            let own = self.driver.real(*offset);
            self.hold_to_hook(name, found, own, || format!("{name} by dlsym"));
            if let Some(linked) = cuda::linked(name) {
                self.hold_to_hook(name, linked, own, || format!("{name} by linkage"));
            }
        }
    }

    /// Whether what was given for a hooked name is our hook. Another library that hooks it too hands
    /// on to ours, or does not: that the trial tells. What the driver itself has there is a miss.
    fn hold_to_hook(
        &mut self,
        name: &str,
        given: Function,
        own: Function,
        query: impl Fn() -> String,
    ) {
        if self.is_ours(given) {
            return;
        }
        match cuda::file_of(given) {
            Some(file) if cuda::file_of(own).as_ref() != Some(&file) => {
                let names = self.before.entry(file.display().to_string()).or_default();
                names.insert(name.to_owned());
            }
            _ => drop(self.names.bare.insert(query())),
        }
    }

    /// Asks the `cuGetProcAddress` that a program gets, and the driver's own.
    fn by_query(&mut self, hook: (Function, Form), real: (Function, Form)) {
        let bases: BTreeSet<&str> = self.hooks.iter().map(|name| base(name)).collect();
        for base in bases {
            let Ok(name) = CString::new(base) else { continue };
            for version in
                MAJORS.flat_map(|major| (0..10).map(move |minor| major * 1000 + minor * 10))
            {
                for flags in FLAGS {
                    let given = self.driver.ask(hook, &name, version, flags);
                    let own = self.driver.ask(real, &name, version, flags);
                    let query =
                        || format!("{base} by cuGetProcAddress, version {version}, flags {flags}");
                    match (given, own) {
                        (Some(given), Some(own)) => self.compare(base, given, own, query),
                        (None, None) => {}
                        _ => drop(self.names.altered.insert(query())),
                    }
                }
            }
        }
    }

    fn compare(&mut self, asked: &str, given: Function, own: Function, query: impl Fn() -> String) {
        self.names.answers += 1;
        let symbols = self.driver.offset(own).and_then(|offset| self.symbols.get(&offset));
        let Some(symbols) = symbols else {
            self.names.unknown.insert(asked.to_owned());
            return;
        };
        // Two functions may be one: what counts is the one that was asked for.
        let of_base: Vec<_> = symbols.iter().filter(|symbol| base(symbol) == asked).collect();
        match of_base.iter().find(|symbol| self.hooks.contains(symbol.as_str())) {
            Some(hooked) => {
                let name = (**hooked).clone();
                self.hold_to_hook(&name, given, own, query);
            }
            None => {
                let name = of_base.first().copied().or(symbols.first());
                self.names.later.extend(name.map(|name| (*name).clone()));
            }
        }
    }
}

/// The name by which `cuGetProcAddress` knows a symbol: without version and flavour.
fn base(symbol: &str) -> &str {
    let plain = symbol.strip_suffix("_ptsz").unwrap_or(symbol);
    match plain.rsplit_once("_v") {
        Some((base, version)) if version.bytes().all(|byte| byte.is_ascii_digit()) => base,
        _ => plain,
    }
}

/// What is to be said of them.
pub fn checks(names: &Names) -> Vec<Check> {
    const NAME: &str = "names";
    let mut checks = Vec::new();
    let Names { hooked, found, answers, .. } = names;
    if !names.bare.is_empty() {
        checks.push(Check::fails(
            NAME,
            format!("{} past the hooks: {}", comes(names.bare.len()), some(&names.bare)),
            "what a program takes by them is not seen: please report this, with the lines above",
        ));
    }
    if !names.altered.is_empty() {
        checks.push(Check::warning(
            NAME,
            format!(
                "{} that memtrace does not hook {}: {}",
                count(names.altered.len() as u64, "name"),
                "are answered otherwise than by the driver",
                some(&names.altered)
            ),
            "another preloaded library answers them",
        ));
    }
    if !names.unknown.is_empty() {
        checks.push(Check::warning(
            NAME,
            format!(
                "the driver gives addresses that none of its symbols has, so these are told by their \
                 name only: {}",
                some(&names.unknown)
            ),
            "compare the report's totals with nvidia-smi, and tell us the driver's version",
        ));
    }
    if !names.later.is_empty() {
        checks.push(Check::warning(
            NAME,
            format!(
                "this driver has later versions of functions than are hooked: {}",
                some(&names.later)
            ),
            "memory that a program takes by them is not seen; use a newer memtrace",
        ));
    }
    for (file, number) in &names.before {
        checks.push(Check::warning(
            NAME,
            format!("{file} answers before the library to {}", count(*number as u64, "hooked name")),
            "what it hands on is seen, if the trial below was; put memtrace before it to see what it refuses",
        ));
    }
    if checks.is_empty() {
        checks.push(Check::ok(
            NAME,
            format!("{found} of {hooked} hooked functions are in this driver; all come back hooked, in {answers} answers"),
        ));
    }
    checks
}

fn comes(number: usize) -> String {
    if number == 1 { "1 look-up comes".to_owned() } else { format!("{number} look-ups come") }
}

/// The first of them, and how many more there are.
fn some(names: &BTreeSet<String>) -> String {
    let told: Vec<&str> = names.iter().take(TOLD).map(String::as_str).collect();
    let rest = names.len() - told.len();
    let rest = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    told.join("; ") + &rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Mark;

    #[test]
    fn a_symbol_is_known_by_its_name_without_version_and_flavour() {
        assert_eq!(base("cuMemAlloc_v2"), "cuMemAlloc");
        assert_eq!(base("cuGraphAddNode_v3"), "cuGraphAddNode");
        assert_eq!(base("cuStreamBeginCapture_v2_ptsz"), "cuStreamBeginCapture");
        assert_eq!(base("cuMem_vx"), "cuMem_vx");
    }

    #[test]
    fn what_is_not_hooked_fails_and_what_is_not_known_warns() {
        let good = Names { hooked: 2, found: 2, answers: 9, ..Names::default() };
        assert_eq!(checks(&good)[0].mark, Mark::Ok);
        let mut bad = good.clone();
        bad.bare.extend(["a", "b", "c", "d"].map(str::to_owned));
        bad.unknown.insert("cuMemAlloc".into());
        bad.before.insert("/x/libquota.so".into(), 1);
        let checks = checks(&bad);
        let marks: Vec<_> = checks.iter().map(|check| check.mark).collect();
        assert_eq!(marks, [Mark::Fails, Mark::Warning, Mark::Warning]);
        assert_eq!(checks[2].says, "/x/libquota.so answers before the library to 1 hooked name");
        assert!(checks[0].says.starts_with("4 look-ups come past the hooks: a; b; c and 1 more"));
    }
}
