//! Programs whose launcher replaced `LD_PRELOAD`.

use crate::workshop::{Run, SHIM, Workshop, calls};

const WAYS: [&str; 8] =
    ["execv", "execve", "execvp", "execvpe", "execveat", "fexecve", "posix_spawn", "posix_spawnp"];

struct Launcher {
    shop: Workshop,
    program: String,
    child: String,
}

impl Launcher {
    fn new(name: &str) -> Self {
        let shop = Workshop::with_driver(name);
        shop.library("part.c", "libtwo.so", &["-DPART=2"]);
        let program = shop.program("starter.c", &[]);
        let child = shop.program("started.c", &["-L.", "-l:libcuda.so.1"]);
        Self { shop, program, child }
    }

    /// Starts the child in the way `how`, with `LD_PRELOAD` as `what` says.
    fn start(&self, how: &str, what: &str, environment: &[(&str, &str)]) -> Run {
        self.shop.run_with(SHIM, &[&self.program, how, what, &self.child], environment)
    }

    fn path(&self, file: &str) -> String {
        self.shop.path(file).display().to_string()
    }

    /// What a child prints that was started with these two variables.
    fn said(preload: &str, folder: &str) -> String {
        format!("{preload} {folder} 0\n0 0\n")
    }
}

const TAKEN: [&str; 1] = ["took cuMemAlloc_v2"];
const NOTHING: [&str; 0] = [];

#[test]
fn a_program_whose_launcher_replaced_the_list_is_followed_in_every_way_of_starting_it() {
    let launcher = Launcher::new("replaced");
    let both = format!("./libtwo.so:{}", launcher.path("libmemtrace.so"));
    for how in WAYS {
        let run = launcher.start(how, "./libtwo.so", &[]);
        assert_eq!(run.stdout, Launcher::said(&both, "-"), "{how}");
        assert_eq!((run.stderr.as_str(), run.code), ("", Some(0)), "{how}");
        assert_eq!(calls(&run.events), TAKEN, "{how}");
    }
    // What cannot be hooked is let through.
    assert_eq!(launcher.start("execl", "./libtwo.so", &[]).events, NOTHING);
}

#[test]
fn a_program_that_was_started_without_the_library_on_purpose_stays_without() {
    let launcher = Launcher::new("removed");
    for how in WAYS {
        for (what, preload) in [("removed", "-"), ("", "")] {
            let run = launcher.start(how, what, &[]);
            assert_eq!(run.stdout, Launcher::said(preload, "-"), "{how}");
            assert_eq!(run.events, NOTHING, "{how}");
        }
    }
    let library = launcher.path("libmemtrace.so");
    for how in WAYS {
        for what in ["removed", ""] {
            let run = launcher.start(how, what, &[("MEMTRACE_FOLLOW", "all")]);
            assert_eq!(run.stdout, Launcher::said(&library, "-"), "{how}");
            assert_eq!(calls(&run.events), TAKEN, "{how}");
        }
    }
}

#[test]
fn nobody_is_followed_where_the_user_does_not_want_it() {
    let launcher = Launcher::new("unwanted");
    for how in WAYS {
        let run = launcher.start(how, "./libtwo.so", &[("MEMTRACE_FOLLOW", "0")]);
        assert_eq!(run.stdout, Launcher::said("./libtwo.so", "-"), "{how}");
        assert_eq!(run.events, NOTHING, "{how}");
    }
}

#[test]
fn a_program_that_keeps_the_library_gets_the_list_it_was_given() {
    let launcher = Launcher::new("kept");
    let library = launcher.path("libmemtrace.so");
    for how in WAYS {
        let run = launcher.start(how, "kept", &[("MEMTRACE_FOLLOW", "all")]);
        assert_eq!(run.stdout, Launcher::said(&library, "-"), "{how}");
        assert_eq!(calls(&run.events), TAKEN, "{how}");
    }
}

#[test]
fn the_folder_goes_along_into_an_environment_that_was_made_anew() {
    let launcher = Launcher::new("anew");
    let both = format!("./libtwo.so:{}", launcher.path("libmemtrace.so"));
    let run = launcher.start("execve", "alone:./libtwo.so", &[("MEMTRACE_DIR", "/dev/shm/rings")]);
    assert_eq!(run.stdout, Launcher::said(&both, "/dev/shm/rings"));
    assert_eq!(calls(&run.events), TAKEN);
}

#[test]
fn torch_memory_saver_is_followed_and_finds_its_own_path_as_it_was_given() {
    let launcher = Launcher::new("saver");
    launcher.shop.library("part.c", "libtorch_memory_saver.so", &["-DPART=2"]);
    let saver = "./libtorch_memory_saver.so";
    for how in WAYS {
        let run = launcher.start(how, saver, &[]);
        assert_eq!(run.stdout, Launcher::said(saver, "-"), "{how}");
        assert_eq!((run.stderr.as_str(), run.code), ("", Some(0)), "{how}");
        assert_eq!(calls(&run.events), TAKEN, "{how}");
    }
}

#[test]
fn a_library_that_is_gone_is_not_put_back() {
    let launcher = Launcher::new("gone");
    // The loader has it; in its place the child would find nothing, and say so.
    let away = launcher.path("away.so");
    let script = format!(
        "mv libmemtrace.so {away}; export LD_PRELOAD=./libtwo.so; exec {} execve kept {}",
        launcher.program, launcher.child
    );
    let run = launcher.shop.run(SHIM, &["bash", "-c", &script]);
    assert_eq!((run.stdout, run.stderr.as_str()), (Launcher::said("./libtwo.so", "-"), ""));
}

#[test]
fn a_start_that_fails_fails_as_without_the_library() {
    let launcher = Launcher::new("failing");
    for how in WAYS {
        let command = [launcher.program.as_str(), how, "./libtwo.so", "./no-such-program"];
        let bare = launcher.shop.run("", &command);
        // ENOENT; fexecve has no file to begin with.
        let want = if how.starts_with("posix") { "2 0\n" } else { "0 2\n" };
        assert!(bare.stdout == want || how == "fexecve", "{how}: {}", bare.stdout);
        assert_eq!(launcher.shop.run(SHIM, &command).unchanged(&bare), NOTHING, "{how}");
    }
}

#[test]
fn what_the_kernel_just_takes_is_started_though_the_library_has_no_room_in_it() {
    let shop = Workshop::new("tight");
    shop.library("part.c", "libtwo.so", &["-DPART=2"]);
    let program = shop.program("tight.c", &[]);
    let bare = shop.run("", &[&program, "/bin/true"]);
    let largest: Vec<u32> = bare.stdout.lines().map(|line| line.parse().unwrap()).collect();
    assert!(matches!(largest[..], [1000..99_000, 1000..99_000]), "{largest:?}");
    shop.run(SHIM, &[&program, "/bin/true"]).unchanged(&bare);
}

#[test]
fn another_thread_may_change_the_environment_while_a_program_gets_one_of_its_own() {
    let shop = Workshop::new("changing");
    let program = shop.program("changing.c", &[]);
    let bare = shop.run("", &[&program]);
    assert_eq!((bare.stdout.as_str(), bare.code), ("2\n", Some(0)));
    shop.run(SHIM, &[&program]).unchanged(&bare);
}

#[test]
fn a_fork_of_a_process_whose_threads_hold_the_loaders_locks_starts_its_program() {
    let shop = Workshop::new("crowd");
    shop.library("part.c", "libone.so", &["-DPART=1"]);
    shop.library("part.c", "libtwo.so", &["-DPART=2"]);
    let program = shop.program("crowd.c", &[]);
    let bare = shop.run("", &[&program]);
    assert_eq!(bare.stdout, "40\n");
    shop.run(SHIM, &[&program]).unchanged(&bare);
}

#[test]
fn a_neighbour_that_sees_what_is_started_goes_on_seeing_it() {
    let launcher = Launcher::new("exec_neighbour");
    launcher.shop.library("exec_neighbour.c", "libneighbour.so", &[]);
    for preload in ["./libneighbour.so:./libmemtrace.so", "./libmemtrace.so:./libneighbour.so"] {
        for how in ["execv", "execve"] {
            let command = [launcher.program.as_str(), how, "./libtwo.so", &launcher.child];
            let run = launcher.shop.run(preload, &command);
            assert_eq!(calls(&run.events), TAKEN, "{preload} {how}");
            let seen = if how == "execv" && preload.starts_with("./libn") { "" } else { "seen\n" };
            assert_eq!(run.stderr, seen, "{preload} {how}");
        }
    }
}
