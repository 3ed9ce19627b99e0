//! The built library, called as a client calls it, in a process of the test's own.

use std::ffi::{CString, c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use machine::{Call, Config, read_log};

/// The loaded library.
#[derive(Clone, Copy)]
pub struct Library(*mut c_void);

impl Library {
    /// Loads the library that cargo built beside this test.
    pub fn load() -> Self {
        let exe = std::env::current_exe().expect("own path");
        let path = exe.with_file_name("libvgpu_cuda.so");
        let name = CString::new(path.as_os_str().as_encoded_bytes()).expect("path");
        // SAFETY: a C string; the library's start does nothing.
        let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW) };
        assert!(!handle.is_null(), "{} is missing", path.display());
        Self(handle)
    }

    /// Address of an exported symbol, 0 without it.
    pub fn symbol(self, name: &str) -> usize {
        let name = CString::new(name).expect("name");
        // SAFETY: an open library and a C string.
        unsafe { libc::dlsym(self.0, name.as_ptr()) as usize }
    }

    /// What `cuGetProcAddress_v2` gives: address and reason.
    pub fn look_up(self, name: &str, version: c_int, flags: u64) -> (usize, c_int) {
        type Function = extern "C" fn(*const c_char, *mut usize, c_int, u64, *mut c_int) -> c_int;
        // SAFETY: that is the function's signature.
        let function: Function = unsafe { std::mem::transmute(self.symbol("cuGetProcAddress_v2")) };
        let name = CString::new(name).expect("name");
        let (mut address, mut reason) = (1, -1);
        assert_eq!(function(name.as_ptr(), &mut address, version, flags, &mut reason), 0);
        (address, reason)
    }

    /// Calls a function with integers and pointers, as many as it takes.
    pub fn call<const N: usize>(self, name: &str, args: [u64; N]) -> c_int {
        let (address, reason) = self.look_up(name, 12020, 0);
        assert_eq!(reason, 0, "{name}");
        let mut padded = [0; 6];
        padded[..N].copy_from_slice(&args);
        let [a, b, c, d, e, f] = padded;
        // SAFETY: all arguments are words, and in this calling convention a function does not
        // mind words beyond those that it takes.
        let function: extern "C" fn(u64, u64, u64, u64, u64, u64) -> c_int =
            unsafe { std::mem::transmute(address) };
        function(a, b, c, d, e, f)
    }

    /// The same for a function that must succeed.
    pub fn must<const N: usize>(self, name: &str, args: [u64; N]) {
        assert_eq!(self.call(name, args), 0, "{name}{args:x?}");
    }

    /// The same for one whose first argument is room for a word, which it gives.
    pub fn get<const N: usize>(self, name: &str, args: [u64; N]) -> Result<u64, c_int> {
        let mut word = 0u64;
        let mut padded = [0; 6];
        padded[0] = &raw mut word as u64;
        padded[1..=N].copy_from_slice(&args);
        match self.call(name, padded) {
            0 => Ok(word),
            code => Err(code),
        }
    }

    /// Starts the driver and makes the first card's primary context current.
    pub fn start(self) {
        self.must("cuInit", [0]);
        let context = self.get("cuDevicePrimaryCtxRetain", [0]).expect("context");
        self.must("cuCtxSetCurrent", [context]);
    }

    /// Free bytes of the current card.
    pub fn free_bytes(self) -> u64 {
        let mut total = 0u64;
        self.get("cuMemGetInfo", [&raw mut total as u64]).expect("info")
    }
}

/// Runs `body` in a process with a machine and a log of its own, so that tests do not meet.
pub fn alone(test: &str, variables: &[(&str, &str)], body: impl FnOnce(Library)) {
    if std::env::var("VGPU_TEST").as_deref() == Ok(test) {
        return body(Library::load());
    }
    let name = format!("vgpu-test-{}-{test}", std::process::id());
    let log = log_dir(&name);
    let mut command = same_test(test);
    command.env("VGPU_NAME", &name).env("VGPU_LOG", &log).envs(variables.iter().copied());
    let output = command.output().expect("start");
    let _ = std::fs::remove_file(Path::new("/dev/shm").join(&name));
    let _ = std::fs::remove_dir_all(&log);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
}

/// A second process of a test, on the same machine; `part` is what `VGPU_PART` says in it.
pub fn second_process(test: &str, part: &str) -> Child {
    let mut command = same_test(test);
    command.env("VGPU_PART", part).stdin(Stdio::piped()).stdout(Stdio::piped());
    command.spawn().expect("start")
}

fn same_test(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("own path"));
    command.args(["--exact", test, "--nocapture"]).env("VGPU_TEST", test);
    command
}

fn log_dir(name: &str) -> PathBuf {
    std::env::temp_dir().join(name)
}

/// All logged calls of a process of this test.
pub fn calls(pid: u32) -> Vec<Call> {
    let folder = Config::from_env().log_dir.expect("a log");
    read_log(&folder.join(format!("calls.{pid}.log"))).expect("log")
}
