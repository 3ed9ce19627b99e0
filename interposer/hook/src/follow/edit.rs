//! What has to change in a child's environment, and the list with the change.

use core::{
    ffi::{CStr, c_char},
    mem::MaybeUninit,
    ptr,
};

use super::environment::Environment;

const PRELOAD: &str = "LD_PRELOAD";
const NVTX: &str = "NVTX_INJECTION64_PATH";
/// Where the loader divides a list of libraries. There is no way to write them inside of a path.
const DIVIDERS: &[u8] = b": ";
/// The library of torch_memory_saver goes by this.
const SAVER: &[u8] = b"torch_memory_saver";

/// Which children get the library back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Nobody,
    /// Those whose list of libraries is another one.
    Replaced,
    All,
}

/// A change that puts the library back.
#[derive(Debug)]
pub struct Edit<'a> {
    child: Environment<'a>,
    /// Which entry of the child's is changed; `None` for one more.
    place: Option<usize>,
    /// The libraries it names now.
    before: &'a [u8],
    /// What is put behind them; may be empty.
    library: &'a [u8],
    /// What else of this process's environment goes along.
    carried: [Option<*const c_char>; 3],
}

impl<'a> Edit<'a> {
    /// What to change in `child`, so that the program is followed as the user wants; `None` for
    /// nothing. `own` reads this process's environment, and is asked only where the child has not the
    /// library: another thread may be changing it meanwhile, which the program itself, that gives its
    /// child a list of its own, need not mind. `library` is the path our library was loaded from.
    #[must_use]
    pub fn of(
        child: Environment<'a>,
        own: impl FnOnce() -> Option<Environment<'a>>,
        library: &'a CStr,
    ) -> Option<Self> {
        let library = library.to_bytes();
        if !library.starts_with(b"/") || library.iter().any(|byte| DIVIDERS.contains(byte)) {
            return None;
        }
        let first = child.value(PRELOAD).unwrap_or_default();
        let (place, last) = match child.last(PRELOAD) {
            Some((place, last)) => (Some(place), last),
            None => (None, &b""[..]),
        };
        let beside = is_beside(first, last, library);
        if beside == Some(first) {
            return None;
        }
        // Whoever starts the child knows the first, and may have changed it since.
        let before = if beside.is_some() { first } else { last };
        let there = is_there(before, library);
        if there && beside.is_none() {
            return None;
        }
        let own = own()?;
        let removed = before.iter().all(|byte| DIVIDERS.contains(byte));
        let wanted = match wish(&child, &own) {
            Wish::Nobody => false,
            Wish::Replaced => !removed,
            Wish::All => true,
        };
        let adds = wanted && !there;
        if !adds && beside.is_none() {
            return None;
        }
        let place = place.filter(|_| beside.is_some() || !names_saver(before));
        // Another tool may listen to NVTX in this process: then it is not our variable.
        let nvtx = own.value(NVTX).is_some_and(|value| value == library);
        let carried = [Some("MEMTRACE_DIR"), Some("MEMTRACE_FOLLOW"), nvtx.then_some(NVTX)]
            .map(|name| name.filter(|name| adds && child.entry(name).is_none()))
            .map(|name| name.and_then(|name| own.entry(name)));
        let before = if removed { b"" } else { before };
        Some(Self { child, place, before, library: if adds { library } else { b"" }, carried })
    }

    /// Pointers that have to fit into the room of [`Self::write`].
    #[must_use]
    pub fn words(&self) -> usize {
        let list = self.list().count() + usize::from(self.place.is_none()) + 1;
        list + self.text().count().div_ceil(size_of::<usize>())
    }

    /// The changed list, written into `room`; `None` if it does not fit.
    pub fn write(&self, room: &mut [MaybeUninit<*const c_char>]) -> Option<*const *const c_char> {
        let length = self.list().count() + usize::from(self.place.is_none()) + 1;
        let (list, rest) = room.split_at_mut_checked(length)?;
        // SAFETY: bytes that are not looked at may be written as bytes.
        let (_, text, _) = unsafe { rest.align_to_mut::<MaybeUninit<u8>>() };
        if text.len() < self.text().count() {
            return None;
        }
        for (to, byte) in text.iter_mut().zip(self.text()) {
            to.write(byte);
        }
        let text = text.as_ptr().cast::<c_char>();
        for (to, entry) in list.iter_mut().zip(self.list().map(|entry| entry.unwrap_or(text))) {
            to.write(entry);
        }
        let end = list.len().checked_sub(1)?;
        list.get_mut(end)?.write(ptr::null());
        if self.place.is_none() {
            list.get_mut(end.checked_sub(1)?)?.write(text);
        }
        Some(list.as_ptr().cast())
    }

    /// The entries in their order, `None` in the place of the changed one.
    fn list(&self) -> impl Iterator<Item = Option<*const c_char>> {
        let child = self.child.entries().iter().enumerate();
        let child = child.map(|(at, entry)| (Some(at) != self.place).then_some(*entry));
        child.chain(self.carried.iter().flatten().map(|entry| Some(*entry)))
    }

    /// The changed entry with its NUL.
    fn text(&self) -> impl Iterator<Item = u8> {
        let alone = self.before.is_empty() || self.library.is_empty();
        let divider = if alone { "" } else { ":" };
        let parts =
            [PRELOAD.as_bytes(), b"=", self.before, divider.as_bytes(), self.library, b"\0"];
        parts.into_iter().flatten().copied()
    }
}

/// The child's word counts before ours: whoever started it may have said so.
fn wish(child: &Environment<'_>, own: &Environment<'_>) -> Wish {
    let said = |name| child.value(name).or_else(|| own.value(name));
    if said("MEMTRACE_DISABLE") == Some(b"1") {
        return Wish::Nobody;
    }
    match said("MEMTRACE_FOLLOW") {
        Some(b"0") => Wish::Nobody,
        Some(b"all") => Wish::All,
        _ => Wish::Replaced,
    }
}

/// Whether torch_memory_saver is in a list. Before version 0.0.10 it takes what `LD_PRELOAD` says for
/// the path of its library, and with ours behind it finds no such file. Of two entries of that name a
/// program finds the first and the loader goes by the last: so the list with ours stands beside the
/// launcher's own.
fn names_saver(libraries: &[u8]) -> bool {
    libraries.windows(SAVER.len()).any(|part| part == SAVER)
}

/// The libraries before ours in `last`, if that is an entry that was put beside another.
fn is_beside<'a>(first: &[u8], last: &'a [u8], library: &[u8]) -> Option<&'a [u8]> {
    let before = last.strip_suffix(library)?.strip_suffix(b":")?;
    (!ptr::eq(first, last) && names_saver(before)).then_some(before)
}

/// Whether a list of libraries has ours, from wherever: two copies of it would be too many.
fn is_there(libraries: &[u8], library: &[u8]) -> bool {
    let mut each = libraries.split(|byte| DIVIDERS.contains(byte));
    each.any(|each| file_name(each) == file_name(library))
}

fn file_name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CString;

    const LIBRARY: &CStr = c"/opt/libmemtrace.so";

    /// What becomes of a child's environment; `None` where it stays as it is.
    fn edited(child: &[&str], own: &[&str]) -> Option<Vec<String>> {
        edited_for(child, own, LIBRARY)
    }

    fn edited_for(child: &[&str], own: &[&str], library: &CStr) -> Option<Vec<String>> {
        let strings = |list: &[&str]| -> Vec<CString> {
            list.iter().map(|entry| CString::new(*entry).unwrap()).collect()
        };
        let pointers = |list: &[CString]| -> Vec<*const c_char> {
            list.iter().map(|entry| entry.as_ptr()).chain([ptr::null()]).collect()
        };
        let (child, own) = (strings(child), strings(own));
        let (child, own) = (pointers(&child), pointers(&own));
        // SAFETY: a list of C strings with a null pointer at its end.
        let read = |list: &'_ [_]| unsafe { Environment::read(list.as_ptr()) }.unwrap();
        let edit = Edit::of(read(&child), || Some(read(&own)), library)?;
        let words = edit.words();
        assert!(
            edit.write(&mut vec![MaybeUninit::uninit(); words - 1]).is_none(),
            "too little room"
        );
        let mut room = vec![MaybeUninit::uninit(); words];
        let list = edit.write(&mut room).expect("as much room as was asked for");
        // SAFETY: what was just written.
        let list = unsafe { Environment::read(list) }.unwrap();
        let text = |entry: &*const c_char| {
            // SAFETY: an entry of that list.
            unsafe { CStr::from_ptr(*entry) }.to_str().unwrap().to_owned()
        };
        Some(list.entries().iter().map(text).collect())
    }

    fn want<const N: usize>(list: [&str; N]) -> Option<Vec<String>> {
        Some(list.map(str::to_owned).to_vec())
    }

    #[test]
    fn a_replaced_list_gets_the_library_back_behind_the_others() {
        assert_eq!(
            edited(&["A=1", "LD_PRELOAD=/saver.so", "B=2"], &[]),
            want(["A=1", "LD_PRELOAD=/saver.so:/opt/libmemtrace.so", "B=2"])
        );
        assert_eq!(
            edited(&["LD_PRELOAD=a.so b.so"], &[]),
            want(["LD_PRELOAD=a.so b.so:/opt/libmemtrace.so"])
        );
    }

    #[test]
    fn a_list_that_has_the_library_stays_wherever_it_was_taken_from() {
        for list in ["/opt/libmemtrace.so", "/a.so:/other/libmemtrace.so", "libmemtrace.so /a.so"] {
            assert_eq!(edited(&[&format!("LD_PRELOAD={list}")], &["MEMTRACE_FOLLOW=all"]), None);
        }
        assert!(edited(&["LD_PRELOAD=/opt/libmemtrace.so.old"], &[]).is_some());
    }

    #[test]
    fn who_gives_the_library_to_a_child_is_not_asked_for_the_environment_of_its_own() {
        let list = [c"LD_PRELOAD=/a.so:/opt/libmemtrace.so".as_ptr(), ptr::null()];
        // SAFETY: a list of C strings with a null pointer at its end.
        let child = unsafe { Environment::read(list.as_ptr()) }.unwrap();
        assert!(Edit::of(child, || panic!("another thread may be changing it"), LIBRARY).is_none());
    }

    #[test]
    fn who_removed_the_library_wins_unless_all_are_to_be_followed() {
        let all = ["MEMTRACE_FOLLOW=all"];
        for child in [&["A=1"][..], &["A=1", "LD_PRELOAD="], &["A=1", "LD_PRELOAD= : "]] {
            assert_eq!(edited(child, &[]), None);
            let list = edited(child, &all).expect("followed");
            let mut list: Vec<&str> = list.iter().map(String::as_str).collect();
            list.sort_unstable();
            assert_eq!(list, ["A=1", "LD_PRELOAD=/opt/libmemtrace.so", "MEMTRACE_FOLLOW=all"]);
        }
        assert_eq!(edited(&["MEMTRACE_FOLLOW=1"], &all), None, "the child's word counts");
    }

    #[test]
    fn nobody_is_followed_who_shall_not_be() {
        let child = "LD_PRELOAD=/saver.so";
        for wish in ["MEMTRACE_FOLLOW=0", "MEMTRACE_DISABLE=1"] {
            assert_eq!(edited(&[child, wish], &["MEMTRACE_FOLLOW=all"]), None);
            assert_eq!(edited(&[child], &[wish]), None);
        }
        assert!(edited(&[child, "MEMTRACE_FOLLOW=1"], &["MEMTRACE_FOLLOW=0"]).is_some());
    }

    #[test]
    fn where_the_child_has_none_the_folder_and_nvtx_go_along() {
        let own = [
            "MEMTRACE_DIR=/dev/shm/a",
            "MEMTRACE_ROLE=launcher",
            "NVTX_INJECTION64_PATH=/opt/libmemtrace.so",
            "MEMTRACE_FOLLOW=all",
        ];
        assert_eq!(
            edited(&["LD_PRELOAD=/saver.so"], &own),
            want([
                "LD_PRELOAD=/saver.so:/opt/libmemtrace.so",
                "MEMTRACE_DIR=/dev/shm/a",
                "MEMTRACE_FOLLOW=all",
                "NVTX_INJECTION64_PATH=/opt/libmemtrace.so",
            ])
        );
        let child = ["LD_PRELOAD=/saver.so", "MEMTRACE_DIR=/b", "NVTX_INJECTION64_PATH=/nsight.so"];
        let changed = edited(&child, &own[..3]).unwrap();
        assert_eq!(changed[1..], child[1..]);
        let others = ["NVTX_INJECTION64_PATH=/nsight.so"];
        assert_eq!(edited(&child[..1], &others).unwrap().len(), 1, "not ours");
    }

    #[test]
    fn of_two_lists_of_libraries_the_one_that_the_loader_reads_is_changed() {
        assert_eq!(
            edited(&["LD_PRELOAD=/a.so", "LD_PRELOAD=/b.so"], &[]),
            want(["LD_PRELOAD=/a.so", "LD_PRELOAD=/b.so:/opt/libmemtrace.so"])
        );
    }

    #[test]
    fn torch_memory_saver_finds_the_list_that_its_launcher_made() {
        let list = "LD_PRELOAD=/torch_memory_saver_hook.so";
        let both = format!("{list}:/opt/libmemtrace.so");
        assert_eq!(edited(&[list, "A=1"], &[]), want([list, "A=1", &both]));
        assert_eq!(edited(&[list, "A=1", &both], &["MEMTRACE_FOLLOW=all"]), None);
        assert_eq!(edited(&[&both], &[]), None, "a list that its launcher made so");
        // Its program changes the entry that it knows.
        let changed = ["LD_PRELOAD=/a.so", "A=1", &both];
        let followed = "LD_PRELOAD=/a.so:/opt/libmemtrace.so";
        assert_eq!(edited(&changed, &[]), want(["LD_PRELOAD=/a.so", "A=1", followed]));
        let kept = "LD_PRELOAD=/opt/libmemtrace.so /a.so";
        assert_eq!(edited(&[kept, &both], &[]), want([kept, kept]));
        for follow in ["MEMTRACE_FOLLOW=1", "MEMTRACE_FOLLOW=0"] {
            let removed = ["LD_PRELOAD=", &both, follow];
            assert_eq!(edited(&removed, &[]), want(["LD_PRELOAD=", "LD_PRELOAD=", follow]));
        }
        let unwanted = ["LD_PRELOAD=/a.so", &both, "MEMTRACE_FOLLOW=0"];
        assert_eq!(
            edited(&unwanted, &[]),
            want(["LD_PRELOAD=/a.so", "LD_PRELOAD=/a.so", "MEMTRACE_FOLLOW=0"])
        );
    }

    #[test]
    fn a_path_that_no_list_can_hold_is_not_put_into_one() {
        for library in [c"libmemtrace.so", c"/a b/libmemtrace.so", c"/a:b/libmemtrace.so", c""] {
            assert_eq!(edited_for(&["LD_PRELOAD=/saver.so"], &[], library), None, "{library:?}");
        }
    }
}
