//! What one block costs, taken and given back, under Python stacks of several depths.
//!
//! `cargo bench -p memtrace-record`. Nanoseconds for the pair: two slots, one entry of the live
//! table, one Python stack. Runs the Python on the path.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

const PROGRAM: &str = "
import ctypes, sys
library = ctypes.PyDLL(sys.argv[1])
library.probe_cost.restype = ctypes.c_double
library.probe_cost.argtypes = [ctypes.c_uint32]
assert library.probe_start() == 0, 'the recorder did not start'
def down(depth, call):
    return down(depth - 1, call) if depth else call()
for depth in (3, 10, 30, 100, 300):
    # The least of many short runs: each fits between two interruptions by others.
    costs = down(depth - 3, lambda: [library.probe_cost(1000) for _ in range(500)])
    print(f'{depth:5} frames {min(costs):8.0f} ns')
";

fn probe() -> PathBuf {
    let target = env::current_exe().unwrap().ancestors().nth(3).unwrap().to_owned();
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--release", "--example", "probe", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        .status()
        .unwrap();
    assert!(status.success());
    target.join("release/examples/libprobe.so")
}

fn run(folder: &Path) {
    let status = Command::new("python3")
        .args(["-c", PROGRAM])
        .arg(probe())
        .env("MEMTRACE_DIR", folder)
        .status()
        .unwrap();
    assert!(status.success());
}

fn main() {
    let memory = Path::new("/dev/shm");
    let base = if memory.is_dir() { memory.to_owned() } else { env::temp_dir() };
    let folder = base.join(format!("memtrace-bench-record-{}", std::process::id()));
    run(&folder);
    std::fs::remove_dir_all(folder).unwrap();
}
