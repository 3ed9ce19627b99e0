//! Jobs run by a session in a process of its own, with a stand-in for the traced process, which
//! writes a ring the way the recorder does.

use std::{
    ffi::OsString,
    fs,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use collector::{
    ledger::End,
    process::Job,
    session::{self, Options},
    store,
};

mod stand_in;

const MIB: u64 = 1 << 20;

/// Not a test: the process that runs the session.
#[test]
fn session_entry() {
    let Some(folder) = std::env::var_os("TEST_SESSION") else { return };
    let command: Vec<OsString> = std::env::args_os().skip_while(|a| a != "--").skip(1).collect();
    let library = std::env::var_os("TEST_LIBRARY").unwrap();
    let folder_is_chosen = std::env::var_os("TEST_NOT_CHOSEN").is_none();
    let options =
        Options { command, folder: folder.into(), folder_is_chosen, library: library.into() };
    let outcome = match session::run(&options, |_| {}) {
        Ok(outcome) => outcome,
        Err(error) => {
            eprintln!("refused: {error}");
            std::process::exit(2);
        }
    };
    for note in outcome.notes.iter().chain(&outcome.not_started) {
        eprintln!("note: {note}");
    }
    std::process::exit(outcome.status.into());
}

/// A place for rings and a trace, and the way to run a session in it.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap() };
        // A library that is loaded already does nothing when it is preloaded.
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        let gcc = maps.split_whitespace().find(|word| word.contains("/libgcc_s.so")).unwrap();
        fs::copy(gcc, place.library()).unwrap();
        fs::write(place.library().with_file_name("libmemtrace_core.so"), "").unwrap();
        place
    }

    fn library(&self) -> PathBuf {
        self.folder.path().join("libmemtrace.so")
    }

    fn rings(&self) -> PathBuf {
        self.folder.path().join("rings")
    }

    fn trace(&self) -> PathBuf {
        self.folder.path().join("trace")
    }

    fn session(&self, job: &[&str]) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "session_entry", "--nocapture", "--"])
            .args(job)
            .env("TEST_SESSION", self.trace())
            .env("TEST_LIBRARY", self.library())
            .env("MEMTRACE_DIR", self.rings())
            .env_remove("LD_PRELOAD")
            .stdin(Stdio::null());
        // A shell without job control starts what it puts in the background with SIGINT ignored,
        // and what was ignored at the start no shell can trap.
        let hear = || {
            for signal in [libc::SIGINT, libc::SIGQUIT, libc::SIGHUP] {
                // SAFETY: allowed between fork and exec.
                unsafe { libc::signal(signal, libc::SIG_DFL) };
            }
            Ok(())
        };
        // SAFETY: the closure only calls what is allowed there.
        unsafe { command.pre_exec(hear) };
        command
    }

    fn run(&self, job: &[&str]) -> Output {
        self.session(job).output().unwrap()
    }

    fn job(&self) -> Job {
        store::job(&self.trace()).unwrap()
    }

    fn left_rings(&self) -> usize {
        fs::read_dir(self.rings()).map_or(0, Iterator::count)
    }
}

/// Whether the kernel tells those who hold a descriptor of a process how it ended (Linux 6.15).
fn kernel_tells_ends() -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(['.', '-']).map_while(|part| part.trim().parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(6), Some(15))
}

/// A shell command that runs this binary as the traced process.
fn traced(how: &str) -> String {
    let me = std::env::current_exe().unwrap();
    format!(
        "TEST_TRACED={how} {} --exact stand_in::traced_entry --nocapture >/dev/null 2>&1",
        me.display()
    )
}

#[test]
fn the_status_is_the_commands() {
    for (script, status) in [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137), ("kill $$", 143)] {
        let place = Place::new();
        let output = place.run(&["sh", "-c", script]);
        assert_eq!(output.status.code(), Some(status), "{script}: {output:?}");
        assert!(output.stderr.is_empty(), "{output:?}");
        assert!(place.trace().join("trace.json").exists());
    }
}

#[test]
fn a_command_that_cannot_be_started_is_told_and_leaves_nothing() {
    for (command, status) in [("/nonexistent/x", 127), ("/etc/passwd", 126), ("/etc", 126)] {
        let place = Place::new();
        let output = place.run(&[command]);
        assert_eq!(output.status.code(), Some(status), "{command}: {output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(command));
        assert!(!place.trace().exists());
        assert_eq!(place.left_rings(), 0);
    }
}

#[test]
fn signals_reach_the_command() {
    for (signal, status) in [("TERM", 15), ("INT", 12), ("HUP", 11), ("USR1", 10)] {
        let place = Place::new();
        let trap = "trap 'exit 15' TERM; trap 'exit 12' INT; trap 'exit 11' HUP; \
                    trap 'exit 10' USR1; kill -$0 $PPID; while :; do sleep 0.01; done";
        let output = place.run(&["sh", "-c", trap, signal]);
        assert_eq!(output.status.code(), Some(status), "{signal}: {output:?}");
    }
}

#[test]
fn a_signal_that_was_ignored_stays_ignored() {
    let place = Place::new();
    let script = "kill -HUP $PPID; kill -HUP $$; exit 5";
    let mut session = place.session(&["sh", "-c", script]);
    let nohup = "trap '' HUP; exec \"$0\" \"$@\"";
    let mut outer = Command::new("sh");
    outer.args(["-c", nohup]).arg(session.get_program()).args(session.get_args());
    for (name, value) in session.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    session = outer;
    assert_eq!(session.output().unwrap().status.code(), Some(5));
}

#[test]
fn the_environment_names_the_library_after_what_was_there() {
    let place = Place::new();
    let mut session = place.session(&["sh", "-c", "echo $LD_PRELOAD; echo $MEMTRACE_DIR"]);
    let output = session.env("LD_PRELOAD", "libm.so.6").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let (preload, rings) = {
        let mut lines = text.lines().filter(|line| line.contains('/'));
        (lines.next().unwrap(), lines.next().unwrap())
    };
    assert_eq!(preload, format!("libm.so.6:{}", place.library().display()));
    assert!(rings.starts_with(&*place.rings().join("run-").to_string_lossy()), "{text}");
    assert_eq!(place.left_rings(), 0);
}

#[test]
fn without_a_library_that_can_be_loaded_the_job_runs_and_the_trace_says_why() {
    let place = Place::new();
    fs::write(place.library(), "no library").unwrap();
    let output = place.run(&["sh", "-c", "exit 7"]);
    assert_eq!(output.status.code(), Some(7));
    assert!(String::from_utf8_lossy(&output.stderr).contains("the job ran untraced"));
    assert!(place.job().notes.iter().any(|note| note.contains("the job ran untraced")));
}

#[test]
fn processes_are_drained_told_how_they_ended_and_their_rings_removed() {
    let place = Place::new();
    let script = format!("{}; {}; true", traced("exit"), traced("kill"));
    let output = place.run(&["sh", "-c", &script]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let job = place.job();
    let ends: Vec<End> = job.processes.iter().map(|process| process.end).collect();
    assert_eq!(ends.len(), 2, "{:?}", job.notes);
    for end in [End::Exited(Some(3)), End::Killed(9)] {
        // Their parent reaped them: older kernels do not tell others.
        assert!(ends.contains(&end) || !kernel_tells_ends(), "{ends:?}");
    }
    for process in &job.processes {
        assert_eq!(process.command, "job --token ***");
        assert_eq!(process.played.state.totals(0).linear, 2 * MIB);
        assert_eq!(process.played.state.peak(0).bytes, 3 * MIB);
    }
    assert_eq!(place.left_rings(), 0);
}

#[test]
fn an_orphan_is_followed_to_its_end_and_told_how_it_ended() {
    let place = Place::new();
    // Their parent is gone before they end: only the session can know how they did.
    let script = format!("({} & {} &) ; sleep 2", traced("exit"), traced("unseen"));
    place.run(&["sh", "-c", &script]);
    let ends: Vec<End> = place.job().processes.iter().map(|process| process.end).collect();
    assert_eq!(ends, [End::Exited(Some(3)); 2]);
}

#[test]
fn a_process_that_outlives_the_job_is_told_of_and_keeps_its_ring() {
    let place = Place::new();
    let script = format!(
        "{} & while [ -z \"$(ls $MEMTRACE_DIR/*.ring)\" ]; do :; done 2>/dev/null; \
                          echo $! >{}/pid",
        traced("stay"),
        place.folder.path().display()
    );
    place.run(&["sh", "-c", &script]);
    let pid = fs::read_to_string(place.folder.path().join("pid")).unwrap();
    Command::new("kill").args(["-9", pid.trim()]).status().unwrap();
    let job = place.job();
    assert_eq!(job.processes[0].end, End::Running);
    assert_eq!(job.processes[0].played.state.totals(0).linear, 2 * MIB);
    assert!(job.notes.iter().any(|note| note.contains("still recorded")), "{:?}", job.notes);
    assert_eq!(place.left_rings(), 1);
}

#[test]
fn descendants_without_cuda_are_listed() {
    let place = Place::new();
    place.run(&["sh", "-c", "MEMTRACE_ROLE=helper sleep 1.5; exit 0"]);
    let job = place.job();
    assert!(job.processes.is_empty());
    let sleeper = job.bystanders.iter().find(|b| b.command == "sleep 1.5").unwrap();
    assert_eq!((sleeper.role.as_deref(), sleeper.end), (Some("helper"), End::Exited(Some(0))));
}

#[test]
fn a_process_is_called_by_its_last_title_also_after_its_death() {
    let place = Place::new();
    let titled = traced("title=sglang::detokenizer");
    let script = format!("{titled} & MEMTRACE_ROLE=mine {titled} & wait; {}; true", traced("exit"));
    let output = place.run(&["sh", "-c", &script]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let mut told: Vec<(Option<String>, String)> =
        place.job().processes.into_iter().map(|p| (p.role, p.command)).collect();
    told.sort();
    let told: Vec<_> = told.iter().map(|(role, command)| (role.as_deref(), &**command)).collect();
    let title = "sglang::detokenizer";
    let (ours, theirs) = ((Some("mine"), title), (Some("detokenizer"), title));
    assert_eq!(told, [(None, "job --token ***"), theirs, ours]);
}

#[test]
fn a_title_that_overwrote_the_variables_does_not_take_the_role_away() {
    let place = Place::new();
    let me = std::env::current_exe().unwrap();
    let run = format!("{} --exact stand_in::titled_entry >/dev/null 2>&1", me.display());
    let script = format!("MEMTRACE_ROLE=mine TEST_TITLED=sglang::detokenizer {run}; true");
    place.run(&["sh", "-c", &script]);
    let bystanders = place.job().bystanders;
    let titled = bystanders.iter().find(|b| b.command == "sglang::detokenizer");
    assert_eq!(titled.and_then(|b| b.role.as_deref()), Some("mine"), "{bystanders:?}");
}

#[test]
fn a_folder_that_was_chosen_and_is_not_empty_is_refused_and_nothing_started() {
    let place = Place::new();
    fs::create_dir(place.trace()).unwrap();
    fs::write(place.trace().join("mine"), "").unwrap();
    let output = place.run(&["sh", "-c", "echo started"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(!String::from_utf8_lossy(&output.stdout).contains("started\n"));
    // Had nobody asked for that folder, the job would run without a trace, its rings kept.
    let mut session = place.session(&["sh", "-c", &traced("unseen")]);
    let output = session.env("TEST_NOT_CHOSEN", "1").output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("no trace can be left"));
    assert_eq!(place.left_rings(), 1);
}

#[test]
fn a_session_that_is_killed_leaves_the_job_running_and_a_readable_trace() {
    let place = Place::new();
    let script = format!("echo $$ >{}/pid; {}", place.folder.path().display(), traced("stay"));
    let mut session = place.session(&["sh", "-c", &script]);
    let mut session = session.process_group(0).stdout(Stdio::null()).spawn().unwrap();
    let processes = place.trace().join("processes.bin");
    while !fs::metadata(&processes).is_ok_and(|metadata| metadata.len() > 0) {
        std::thread::yield_now();
    }
    session.kill().unwrap();
    session.wait().unwrap();
    let job = place.job();
    assert_eq!(job.processes[0].end, End::Running, "the job goes on");
    assert!(job.notes.iter().any(|note| note.contains("cut short")), "{:?}", job.notes);
    let group = format!("-{}", session.id());
    Command::new("kill").args(["-9", "--", &group]).status().unwrap();
}
