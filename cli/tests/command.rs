//! The command as a user meets it: what it says, and its exit status.

use std::{
    fs::{self, Permissions},
    io::Read,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

/// The command, in a folder of its own, without its libraries, and with rings of its own.
struct Bench {
    folder: PathBuf,
}

impl Bench {
    fn new(name: &str) -> Self {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("rings")).unwrap();
        fs::set_permissions(folder.join("rings"), Permissions::from_mode(0o700)).unwrap();
        let program = env!("CARGO_BIN_EXE_memtrace");
        fs::hard_link(program, folder.join("memtrace"))
            .or_else(|_| fs::copy(program, folder.join("memtrace")).map(drop))
            .unwrap();
        Self { folder }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.folder.join("memtrace"));
        command.args(arguments).current_dir(&self.folder);
        command.env("MEMTRACE_DIR", self.folder.join("rings")).env_remove("LD_PRELOAD");
        command.env_remove("NVTX_INJECTION64_PATH");
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn bad_input_is_one_sentence_a_hint_and_exit_2() {
    let bench = Bench::new("bad-input");
    fs::create_dir(bench.folder.join("empty")).unwrap();
    let cases: [&[&str]; 14] = [
        &[],
        &["no-such-command"],
        &["report", "no-such-folder"],
        &["report", "empty"],
        &["report", "-p", "4194304"],
        &["report", "-p", "one"],
        &["run"],
        &["check", "no-such-folder"],
        &["check", "--fail-on", "leek"],
        &["check", "--fail-on", "growth:>100MB/100req"],
        &["check", "--json", "--github"],
        &["check", "--preset", "huge"],
        &["check", "--scenario", "text"],
        &["check", "folder", "--scenario", "text", "--url", "http://127.0.0.1:9/v1"],
    ];
    for case in cases {
        let output = bench.run(case);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{case:?}: {said}");
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(lines.len(), 2, "{case:?}: {said}");
        assert!(lines[0].starts_with("memtrace: "), "{case:?}: {said}");
        assert!(lines[1].starts_with("hint: "), "{case:?}: {said}");
        assert!(output.stdout.is_empty(), "{case:?}");
    }
}

#[test]
fn help_and_version_are_answers() {
    let bench = Bench::new("help");
    for case in [["--help"], ["--version"]] {
        let output = bench.run(&case);
        assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()));
        assert!(!output.stdout.is_empty());
    }
}

#[test]
fn without_any_process_the_report_says_so() {
    let bench = Bench::new("nobody");
    let output = bench.run(&["report"]);
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("No process has used CUDA under memtrace.\n"), "{text}");
    let json = bench.run(&["report", "--json"]);
    let report: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(
        (&report["schema_version"], &report["processes"]),
        (&1.into(), &serde_json::json!([]))
    );
}

#[test]
fn nothing_is_not_judged_to_be_well() {
    let bench = Bench::new("check-nobody");
    let output = bench.run(&["check", "--junit", "gate.xml", "--github"]);
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("Not everything could be judged.\nNOT JUDGED: no process "), "{text}");
    assert!(text.contains("\n::error title=memtrace could not judge::no process "), "{text}");
    let xml = fs::read_to_string(bench.folder.join("gate.xml")).unwrap();
    assert!(xml.contains("errors=\"1\""), "{xml}");
}

#[test]
fn a_folder_that_no_process_records_in_is_not_taken_for_one_without_processes() {
    let bench = Bench::new("refused");
    fs::set_permissions(bench.folder.join("rings"), Permissions::from_mode(0o755)).unwrap();
    let output = bench.run(&["report"]);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("rings is open to other users (mode 755)"), "{said}");
    assert!(output.stdout.is_empty());
    let elsewhere = bench.command(&["report"]).env("MEMTRACE_DIR", "rings").output().unwrap();
    assert!(stderr(&elsewhere).contains("rings is not an absolute path"));
}

#[test]
fn the_status_of_run_is_the_job_s_traced_or_not() {
    let bench = Bench::new("run");
    fs::write(bench.folder.join("plain"), "").unwrap();
    // The library is not beside the command: the job runs all the same.
    let cases: [(&[&str], i32); 5] = [
        (&["true"], 0),
        (&["sh", "-c", "exit 7"], 7),
        (&["sh", "-c", "kill -TERM $$"], 128 + 15),
        (&["no-such-program"], 127),
        (&["./plain"], 126),
    ];
    for (i, (job, status)) in cases.into_iter().enumerate() {
        let folder = format!("trace-{i}");
        let mut arguments = vec!["run", "-o", &folder, "--"];
        arguments.extend(job);
        let output = bench.run(&arguments);
        assert_eq!(output.status.code(), Some(status), "{job:?}: {}", stderr(&output));
        assert!(output.stdout.is_empty());
        let started = !matches!(status, 126 | 127);
        assert_eq!(bench.folder.join(&folder).exists(), started, "{job:?}");
        assert!(stderr(&output).contains("untraced"), "{job:?}: {}", stderr(&output));
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let bench = Bench::new("pipe");
    let mut child = bench
        .command(&["report", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((child.wait().unwrap().code(), said), (Some(0), String::new()));
}

#[test]
fn lib_says_where_the_library_should_be() {
    let output = Bench::new("lib").run(&["lib"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("libmemtrace.so is not there"), "{}", stderr(&output));
}

#[test]
fn the_environment_for_a_job_names_the_library_twice() {
    let bench = Bench::new("environment");
    for file in ["libmemtrace.so", "libmemtrace_core.so"] {
        fs::write(bench.folder.join(file), "").unwrap();
    }
    let library = bench.folder.join("libmemtrace.so").canonicalize().unwrap();
    let library = library.to_str().unwrap();
    let said = |command: &mut Command| String::from_utf8(command.output().unwrap().stdout).unwrap();
    let both = said(&mut bench.command(&["lib", "--env"]));
    assert_eq!(both, format!("LD_PRELOAD={library} NVTX_INJECTION64_PATH={library}\n"));
    let mut command = bench.command(&["lib", "--env"]);
    command.env("LD_PRELOAD", "libother.so").env("NVTX_INJECTION64_PATH", "/opt/other.so");
    // The loader says that there is no such library, and goes on.
    assert_eq!(said(&mut command), format!("LD_PRELOAD=libother.so:{library}\n"));
}
