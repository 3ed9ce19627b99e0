//! Programs that never touch a GPU.

use std::{path::Path, process::Command};

use crate::workshop::{SHIM, Workshop, shim};

#[test]
fn programs_without_cuda_do_not_notice() {
    let shop = Workshop::new("host");
    std::fs::write(shop.path("a.c"), "int main(void) { return 3; }").unwrap();
    let commands: [&[&str]; 7] = [
        &["true"],
        &["false"],
        &["bash", "-c", "echo out; echo err >&2; (exit 5) | cat; kill -9 $$"],
        &["cc", "-o", "a", "a.c"],
        &["./a"],
        &["git", "--version"],
        &[
            "python3",
            "-c",
            "import ctypes; print(ctypes.CDLL(None).getpid() > 0, hasattr(ctypes.CDLL(None), 'nope'))",
        ],
    ];
    for command in commands {
        let bare = shop.run("", command);
        assert_eq!(shop.run(SHIM, command).unchanged(&bare), [] as [&str; 0], "{command:?}");
    }
}

#[test]
fn the_library_keeps_to_its_limits() {
    let check = Path::new(env!("CARGO_MANIFEST_DIR")).join("../interposer/check");
    let output = Command::new(check).arg(shim()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
