//! `libmemtrace_core.so` as it is shipped, but for one event that panics.

mod support;

use std::{
    cell::UnsafeCell,
    env,
    ffi::CString,
    fs, mem,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, PoisonError},
};

use hook::event::{ABI, Event, Op, Recorder, START_SYMBOL, Start, StartFn, Thread};
use support::{File, subject::Subject};
use wire::{
    header::{self, Mode, Reason},
    record::Class,
    text::DETAIL,
};

thread_local! {
    static THREAD: UnsafeCell<Thread> =
        const { UnsafeCell::new(Thread::new()) };
}

/// Held by each test: one changes the environment, which the other's commands inherit.
static ONE: Mutex<()> = Mutex::new(());

/// `libmemtrace_core.so` with the feature that adds a panic. Built apart, so that it is never taken
/// for the real one.
fn core() -> PathBuf {
    let target = env::current_exe().unwrap().ancestors().nth(3).unwrap().join("fault");
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--profile", "preload", "--features", "fault"])
        .arg("--manifest-path")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("core/Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        .status()
        .unwrap();
    assert!(status.success());
    target.join("preload/libmemtrace_core.so")
}

fn start(core: &Path) -> &'static Recorder {
    let path = CString::new(core.to_str().unwrap()).unwrap();
    // SAFETY: the library's initialisers are the C runtime's own.
    let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW) };
    assert!(!handle.is_null());
    // SAFETY: the name ends with NUL.
    let start = unsafe { libc::dlsym(handle, START_SYMBOL.as_ptr().cast()) };
    assert!(!start.is_null());
    // SAFETY: the symbol has this type.
    let start = unsafe { mem::transmute::<*mut libc::c_void, StartFn>(start) };
    let names = b"one\n";
    let about = Start { abi: ABI, names: names.as_ptr(), names_length: names.len(), inside: 0 };
    // SAFETY: valid for the call; the names are static.
    let recorder = unsafe { start(&raw const about) };
    assert!(!recorder.is_null());
    // SAFETY: not null, so it points to the library's recorder, which stays.
    unsafe { &*recorder }
}

fn send(recorder: &Recorder, event: Event) {
    let mut event = Event { thread: THREAD.with(UnsafeCell::get), ..event };
    // SAFETY: the block is the calling thread's.
    unsafe { (recorder.record)(&raw mut event) };
}

fn take(recorder: &Recorder, address: u64) {
    send(recorder, Event { address, size: 1, ..Subject::event(Op::Took, Class::Linear) });
}

fn errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap()
}

fn output(program: &str, option: &str, library: &Path) -> String {
    let output = Command::new(program).arg(option).arg(library).output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_library_needs_little_and_offers_one_function() {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let library = core();
    let dynamic = output("readelf", "-dW", &library);
    let mut needed: Vec<_> = dynamic
        .lines()
        .filter(|line| line.contains("(NEEDED)"))
        .filter_map(|line| line.split(['[', ']']).nth(1))
        .collect();
    needed.sort_unstable();
    assert_eq!(needed, ["libc.so.6", "libgcc_s.so.1"]);

    let segments = output("readelf", "-lW", &library);
    assert!(!segments.lines().any(|line| line.trim_start().starts_with("TLS")), "{segments}");

    let symbols = output("objdump", "-T", &library);
    for version in symbols.split("GLIBC_").skip(1) {
        let number = version.split(')').next().unwrap();
        let parts: Vec<u32> = number.split('.').map(|part| part.parse().unwrap()).collect();
        assert!(parts <= vec![2, 17], "glibc {number}");
    }
    let (undefined, defined): (Vec<_>, Vec<_>) = symbols
        .lines()
        .filter(|line| line.starts_with("0000"))
        .partition(|line| line.contains("*UND*"));
    let unversioned = undefined.iter().filter(|line| !line.contains('(') && !line.contains(" w "));
    let unversioned: Vec<_> = unversioned.collect();
    assert!(unversioned.is_empty(), "nobody would define these: {unversioned:?}");
    assert_eq!(defined.len(), 1, "{defined:?}");
    assert!(defined[0].ends_with("memtrace_core_start"));
}

#[test]
fn a_panic_ends_recording_and_nothing_else() {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = env::temp_dir().join(format!("memtrace-fault-{}", std::process::id()));
    // SAFETY: no other test runs meanwhile, and the test harness reads nothing there.
    unsafe { env::set_var("MEMTRACE_DIR", &folder) };
    let core = core();
    // On a stack as small as some programs give their threads.
    let thread = std::thread::Builder::new().stack_size(48 << 10).spawn(move || start(&core));
    let recorder = thread.unwrap().join().unwrap();
    let ring = fs::read_dir(&folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .find(|path| path.extension().is_some_and(|ending| ending == "ring"))
        .unwrap();
    take(recorder, 0x1000);
    assert_eq!(File::read(&ring).records().len(), 1);

    // SAFETY: the call cannot fail.
    let errno_place = unsafe { libc::__errno_location() };
    // SAFETY: the address is that of the calling thread's own variable.
    unsafe { *errno_place = 77 };
    send(recorder, Event { size: u64::MAX, ..Subject::event(Op::Lost, Class::None) });
    assert_eq!(errno(), 77);
    let file = File::read(&ring);
    assert_eq!(Mode::of(file.header(header::MODE)), Some(Mode::Off));
    assert_eq!(Reason::of(file.header(header::MODE)), Some(Reason::Fault));
    assert!(file.text(DETAIL).contains("lib.rs:"), "{}", file.text(DETAIL));

    take(recorder, 0x2000);
    std::thread::scope(|scope| scope.spawn(|| take(recorder, 0x3000)).join()).unwrap();
    (recorder.exit)();
    let file = File::read(&ring);
    assert_eq!((file.records().len(), file.live().len()), (1, 1));
    assert_ne!(file.header(header::EXITED), 0);
    fs::remove_dir_all(folder).unwrap();
}
