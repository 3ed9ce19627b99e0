//! PyTorch's blocks.

use crate::workshop::{SHIM, Workshop};

fn shop(name: &str) -> (Workshop, String) {
    let shop = Workshop::with_driver(name);
    shop.library("c10.c", "libc10.so", &["-Wl,-soname,libc10.so"]);
    shop.library("c10_cuda.c", "libc10_cuda.so", &["-L.", "-l:libc10.so"]);
    let program = shop.program("torch.c", &["-L.", "-l:libcuda.so.1"]);
    (shop, program)
}

const BLOCKS: [&str; 5] = [
    "device c10::reportMemoryUsageToProfiler class=0 device=3 result=0 address=0xaa size=1073741824 aux=0x3 extra=0 depth=1",
    "took c10::reportMemoryUsageToProfiler class=13 device=3 result=0 address=0x7000 size=512 aux=0x200 extra=0x800 depth=1",
    "block-back c10::reportMemoryUsageToProfiler class=13 device=3 result=0 address=0x7000 size=512 aux=0 extra=0x800 depth=1",
    "lost c10::reportMemoryUsageToProfiler class=0 device=63 result=0 address=0 size=9 aux=0 extra=0 depth=1",
    "oom c10::reportOutOfMemoryToProfiler class=13 device=0 result=0 address=0x3 size=1048576 aux=0x4 extra=0 depth=1",
];

#[test]
fn blocks_are_recorded_and_handed_on_whether_torch_comes_before_or_after_cuinit() {
    for (name, arguments) in [("torch_after", &[][..]), ("torch_before", &["early"][..])] {
        let (shop, program) = shop(name);
        let command = [&[program.as_str()], arguments].concat();
        let bare = shop.run("", &command);
        assert!(bare.stdout.starts_with("usage 0x7000 512 512 2048 0x301\n"), "{}", bare.stdout);
        assert_eq!(bare.stdout.lines().count(), 5);
        let events = shop.run(SHIM, &command).unchanged(&bare);
        let mut blocks: Vec<_> = events[2..events.len() - 1].to_vec();
        blocks.retain(|event| !event.starts_with("device c10::reportOutOfMemory"));
        assert_eq!(blocks, BLOCKS);
    }
}

#[test]
fn blocks_alone_open_no_recorder() {
    let (shop, program) = shop("torch_only");
    let bare = shop.run("", &[&program, "never"]);
    assert_eq!(shop.run(SHIM, &[&program, "never"]).unchanged(&bare), [] as [&str; 0]);
}
