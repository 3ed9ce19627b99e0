//! A folder with the library, a recorder that writes events down, and compiled trap programs.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::OnceLock,
};

/// Preloads the library.
pub const SHIM: &str = "./libmemtrace.so";

/// A folder of its own for one test.
pub struct Workshop {
    dir: PathBuf,
}

/// How a program ended and what it said, and what the recorder was told.
#[derive(Debug, PartialEq, Eq)]
pub struct Run {
    pub stdout: String,
    pub stderr: String,
    pub code: Option<i32>,
    pub events: Vec<String>,
}

fn scratch() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
}

fn succeed(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The library, built once per test run.
pub fn shim() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let target = scratch().join("shim");
        succeed(
            Command::new(env!("CARGO"))
                .args(["build", "--quiet", "--package", "memtrace-shim", "--profile", "preload"])
                .arg("--target-dir")
                .arg(&target)
                .current_dir(env!("CARGO_MANIFEST_DIR")),
        );
        target.join("preload/libmemtrace.so")
    })
}

impl Workshop {
    /// An empty workshop called `name`, with the library and the recorder.
    pub fn new(name: &str) -> Self {
        let dir = scratch().join("interposer").join(name);
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        fs::copy(shim(), dir.join("libmemtrace.so")).unwrap();
        let shop = Self { dir };
        shop.library("recorder.c", "libmemtrace_core.so", &[]);
        shop
    }

    /// A workshop with the driver too.
    pub fn with_driver(name: &str) -> Self {
        let shop = Self::new(name);
        shop.library("driver.c", "libcuda.so.1", &["-Wl,-Bsymbolic,-soname,libcuda.so.1"]);
        shop
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.dir.join(file)
    }

    fn compile(&self, source: &str, output: &str, arguments: &[&str]) {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interposer/c").join(source);
        succeed(
            Command::new("cc")
                .args(["-O1", "-o", output])
                .arg(source)
                .args(arguments)
                .args(["-ldl", "-pthread", "-Wl,-rpath,$ORIGIN"])
                .current_dir(&self.dir),
        );
    }

    pub fn library(&self, source: &str, output: &str, arguments: &[&str]) {
        self.compile(source, output, &[&["-shared", "-fPIC"], arguments].concat());
    }

    pub fn program(&self, source: &str, arguments: &[&str]) -> String {
        let output = source.strip_suffix(".c").unwrap();
        self.compile(source, output, arguments);
        format!("./{output}")
    }

    /// Runs `command` in the workshop with `preload` in `LD_PRELOAD`, whose `./` is the workshop.
    pub fn run(&self, preload: &str, command: &[&str]) -> Run {
        self.run_with(preload, command, &[])
    }

    pub fn run_with(&self, preload: &str, command: &[&str], environment: &[(&str, &str)]) -> Run {
        let events = self.path("events");
        let _ = fs::remove_file(&events);
        let preload = preload.replace("./", &format!("{}/", self.dir.display()));
        let [program, arguments @ ..] = command else { panic!("an empty command") };
        let Output { status, stdout, stderr } = Command::new(program)
            .args(arguments)
            .current_dir(&self.dir)
            .env("LD_PRELOAD", preload)
            .env("LD_LIBRARY_PATH", ".")
            .env("EVENTS", &events)
            .envs(environment.iter().copied())
            .output()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let events = fs::read_to_string(&events).unwrap_or_default();
        Run {
            stdout: String::from_utf8(stdout).unwrap(),
            stderr: String::from_utf8(stderr).unwrap(),
            code: status.code(),
            events: events.lines().map(str::to_owned).collect(),
        }
    }
}

impl Run {
    /// Asserts that the program did what it does without the library, and returns the events.
    #[track_caller]
    pub fn unchanged(self, bare: &Run) -> Vec<String> {
        assert_eq!(self.stdout, bare.stdout);
        assert_eq!(self.stderr, bare.stderr);
        assert_eq!(self.code, bare.code);
        assert_eq!(bare.events, [] as [&str; 0], "nobody records without the library");
        self.events
    }
}

/// First two words of each event, without those that begin and end every recording.
pub fn calls(events: &[String]) -> Vec<String> {
    let begin = ["start", "exit", "driver ", "device "];
    let calls = events.iter().filter(|event| !begin.iter().any(|word| event.starts_with(word)));
    calls.map(|event| event.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect()
}
