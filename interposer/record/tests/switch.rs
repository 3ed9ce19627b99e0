//! Native stacks of functions that a greenlet runs.

mod support;

use std::{
    env,
    ffi::{CStr, CString, c_void},
    fs, mem,
    process::Command,
};

use support::subject::Subject;
use wire::{layout::SMALL, record::Class};

type Through = unsafe extern "C" fn(unsafe extern "C" fn(*mut c_void), *mut c_void);

const SOURCE: &str = "void through(void (*run)(void *), void *with) { run(with); __asm__(\"\"); }";

unsafe extern "C" fn allocate(subject: *mut c_void) {
    // SAFETY: the test passes its own subject, borrowed for the call.
    let subject = unsafe { &mut *subject.cast::<Subject>() };
    subject.take(Class::Linear, 0x1000, 1);
}

/// File name of the object that the outermost frame of a stack taken below a library of this name
/// lies in, and how many frames there are.
fn outermost(name: &str) -> (String, usize) {
    let folder = env::temp_dir().join(format!("memtrace-switch-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let (source, library) = (folder.join("through.c"), folder.join(name));
    fs::write(&source, SOURCE).unwrap();
    let arguments = ["-shared", "-fPIC", "-O1", "-o"];
    let status = Command::new("cc").args(arguments).args([&library, &source]).status().unwrap();
    assert!(status.success());

    let mut subject = Subject::new(SMALL);
    // As in a process that loads it after the first event.
    subject.take(Class::Linear, 0x2000, 1);
    let path = CString::new(library.to_str().unwrap()).unwrap();
    // SAFETY: the library has no initialisers of its own.
    let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW) };
    // SAFETY: the name ends with NUL.
    let through = unsafe { libc::dlsym(handle, c"through".as_ptr()) };
    assert!(!through.is_null());
    // SAFETY: the function has this type.
    let through = unsafe { mem::transmute::<*mut c_void, Through>(through) };
    // SAFETY: the subject outlives the call and is used by nobody else meanwhile.
    unsafe { through(allocate, (&raw mut subject).cast()) };
    fs::remove_dir_all(folder).unwrap();

    let file = subject.file();
    let (_, _, entry) =
        file.live().into_iter().find(|(_, _, entry)| entry.address == 0x1000).unwrap();
    let frames = file.native(entry.native);
    // SAFETY: any bits are a valid `Dl_info`.
    let mut info: libc::Dl_info = unsafe { mem::zeroed() };
    // SAFETY: `info` is valid for writing.
    unsafe { libc::dladdr(*frames.last().unwrap() as *const c_void, &raw mut info) };
    // SAFETY: the loader's own C string.
    let path = unsafe { CStr::from_ptr(info.dli_fname) }.to_str().unwrap();
    (path.rsplit('/').next().unwrap().to_owned(), frames.len())
}

#[test]
fn a_walk_ends_at_the_library_that_moves_stacks_and_at_no_other() {
    let name = "_greenlet.cpython-310-x86_64-linux-gnu.so";
    let (object, depth) = outermost(name);
    assert_eq!(object, name);
    let (object, deeper) = outermost("_greenlets.so");
    assert_ne!(object, "_greenlets.so");
    assert!(deeper > depth, "{deeper} frames, {depth} of them a greenlet's own");
}
