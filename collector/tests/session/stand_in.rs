//! Stand-ins for processes of a job: this test binary again, told by a variable what to be.

use std::{
    fs,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use collector::process::proc_fs;
use wire::{
    header::{self, Mode, Reason},
    layout::{SMALL, Sections},
    live::{Entry, Table},
    record::{Class, Record, Verb},
    ring::Producer,
    text,
};

use super::MIB;

/// Not a test: the traced process. Takes 3 MiB, gives 1 back, and ends as `TEST_TRACED` says.
#[test]
fn traced_entry() {
    let Ok(how) = std::env::var("TEST_TRACED") else { return };
    let folder = PathBuf::from(std::env::var_os("MEMTRACE_DIR").unwrap());
    let rows = PathBuf::from(std::env::var_os("TEST_SESSION").unwrap()).join("processes.bin");
    let name = format!("/bin/job-{}", std::process::id());
    let role = std::env::var("MEMTRACE_ROLE").map(|role| format!("MEMTRACE_ROLE={role}\n"));
    set_title("job\0--token\0hunter2");
    let ring = folder.join(format!("{:016x}{:016x}.ring", std::process::id(), 7));
    write_ring(&ring, &name, &role.unwrap_or_default());
    let wait_until_seen = |text: &str| {
        let is_seen = |rows: Vec<u8>| rows.windows(text.len()).any(|part| part == text.as_bytes());
        while !fs::read(&rows).is_ok_and(is_seen) {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    };
    // Who is gone before he is seen leaves nobody who could tell how he ended.
    if how != "unseen" {
        wait_until_seen(&name);
    }
    if let Some(title) = how.strip_prefix("title=") {
        set_title(title);
        wait_until_seen(title);
    }
    match how.as_str() {
        "exit" | "unseen" => std::process::exit(3),
        "kill" | "title=sglang::detokenizer" => {
            drop(Command::new("sh").args(["-c", "kill -9 $PPID"]).status())
        }
        _ => {}
    }
    std::thread::park();
}

/// Writes `title` over the arguments of this process, and over its variables what titles leave of
/// them, as `setproctitle` does.
fn set_title(title: &str) {
    let me = std::process::id();
    for (file, at, text) in [
        ("/proc/self/cmdline", proc_fs::image(me).unwrap(), title),
        ("/proc/self/environ", environ_start(me), ""),
    ] {
        let mut bytes = vec![0; fs::read(file).unwrap().len()];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        let memory = fs::File::options().write(true).open("/proc/self/mem").unwrap();
        memory.write_all_at(&bytes, at).unwrap();
    }
}

/// Where the kernel put the variables of a process.
fn environ_start(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(')').unwrap().1.split_whitespace().nth(50 - 3).unwrap().parse().unwrap()
}

/// Not a test: a process that never uses CUDA, with a title of its own.
#[test]
fn titled_entry() {
    let Ok(title) = std::env::var("TEST_TITLED") else { return };
    // It is looked at once a second, on a busy machine later: as it started, and with its title.
    let looked_at = std::time::Duration::from_secs(3);
    std::thread::sleep(looked_at);
    set_title(&title);
    std::thread::sleep(looked_at);
}

fn write_ring(path: &Path, executable: &str, environment: &str) {
    let words: Vec<AtomicU64> = (0..SMALL.offsets().end).map(|_| AtomicU64::new(0)).collect();
    let sections = Sections::split(&words, &SMALL).unwrap();
    let me = std::process::id();
    let instance = [u64::from(me), 7];
    for (word, value) in [
        (header::MAGIC, header::MAGIC_VALUE),
        (header::VERSION, 1 << 32 | u64::from(header::LAYOUT_VERSION)),
        (header::INSTANCE_0, instance[0]),
        (header::INSTANCE_1, instance[1]),
        (header::PID, me.into()),
        (header::START_TICKS, proc_fs::stat(me).unwrap().start_ticks),
        (header::PID_NAMESPACE, proc_fs::own_namespace()),
        (header::STARTED_MONOTONIC, 1),
        (header::STARTED_REALTIME, 1),
        (header::MODE, header::mode_word(Mode::On, Reason::None)),
    ] {
        words[word].store(value, Relaxed);
    }
    text::EXECUTABLE.write(sections.text, executable.as_bytes());
    text::COMMAND.write(sections.text, b"job\0--token\0hunter2\0");
    text::ENVIRONMENT.write(sections.text, environment.as_bytes());
    let (head, dropped) = (&words[header::HEAD], &words[header::COUNTERS]);
    let ring = Producer::new(sections.ring, head, dropped, header::salt(instance));
    let record = |verb, address, time| Record {
        time,
        address,
        size: MIB,
        aux: 0,
        verb,
        class: Class::Linear,
        api: 0,
        device: 0,
        result: 0,
        tid: 1,
        flags: 0,
        native: 0,
        python: 0,
    };
    let table = Table::new(sections.live);
    for n in 1..=3 {
        ring.publish(&record(Verb::Alloc, n << 30, n * 1_000_000));
        let (class, device, flags, native, python, link) = (Class::Linear, 0, 0, 0, 0, 0);
        let (address, size, birth_us) = (n << 30, MIB, n * 1_000);
        let entry = Entry { address, class, device, flags, size, native, python, birth_us, link };
        if n != 2 {
            table.insert(&entry).unwrap();
        }
    }
    ring.publish(&record(Verb::FreeBegin, 2 << 30, 4_000_000));
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.load(Relaxed).to_le_bytes()).collect();
    // In one step, as a ring is complete before it says that it is.
    let draft = path.with_extension("new");
    fs::write(&draft, bytes).unwrap();
    fs::rename(draft, path).unwrap();
}
