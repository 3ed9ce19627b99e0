//! Memory that two processes have open: what one of them frees stays on the card for the other.

mod common;

use std::io::{BufRead, BufReader, Write};
use std::process::Child;

use common::{Library, alone, second_process};
use machine::{Config, Machine, Usage};

const MIB: u64 = 1 << 20;
const INVALID_VALUE: i32 = 1;

/// A handle as C passes it: 64 bytes by value.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct Handle([u64; 8]);

impl Handle {
    fn text(self) -> String {
        self.0.map(|word| word.to_string()).join(" ")
    }

    fn parse(text: &str) -> Self {
        let words: Vec<_> = text.split(' ').map(|word| word.parse().expect("word")).collect();
        Self(words.try_into().expect("eight words"))
    }
}

fn open(library: Library, handle: Handle) -> Result<u64, i32> {
    type Open = extern "C" fn(*mut u64, Handle, u32) -> i32;
    // SAFETY: that is the function's signature.
    let open: Open = unsafe { std::mem::transmute(library.symbol("cuIpcOpenMemHandle_v2")) };
    let mut address = 0;
    match open(&mut address, handle, 1) {
        0 => Ok(address),
        code => Err(code),
    }
}

fn machine() -> Machine {
    Machine::observe(&Config::from_env()).expect("machine")
}

/// The second process of a test: what it was told, if this is it.
fn told() -> Option<String> {
    std::env::var("VGPU_PART").ok()
}

/// Tells the first process that all is done here, and waits for its word.
fn ready() {
    println!("ready");
    std::io::stdout().flush().expect("flush");
    std::io::stdin().lock().read_line(&mut String::new()).expect("a word");
}

fn wait_for(child: &mut Child) {
    let output = BufReader::new(child.stdout.as_mut().expect("output"));
    assert!(output.lines().map_while(Result::ok).any(|line| line.contains("ready")));
}

fn go_on(child: &mut Child) {
    writeln!(child.stdin.as_mut().expect("input"), "go on").expect("write");
}

/// A descriptor that a second process inherits under the same number.
fn inherited(fd: u64) -> String {
    // SAFETY: a plain system call on an open descriptor.
    let copy = unsafe { libc::dup(fd as i32) };
    assert!(copy >= 0);
    copy.to_string()
}

#[test]
fn memory_freed_while_another_has_it_open_stays_until_it_closes() {
    const TEST: &str = "memory_freed_while_another_has_it_open_stays_until_it_closes";
    alone(TEST, &[], |library| {
        library.start();
        if let Some(handle) = told() {
            let handle = Handle::parse(&handle);
            let address = open(library, handle).expect("open");
            assert_eq!(open(library, handle), Ok(address), "one address for one handle");
            ready();
            library.must("cuIpcCloseMemHandle", [address]);
            ready();
            library.must("cuIpcCloseMemHandle", [address]);
            return ready();
        }
        let before = machine().used_bytes(0);
        for size in [64 * MIB, MIB / 4] {
            let charged = size.next_multiple_of(2 * MIB);
            let address = library.get("cuMemAlloc", [size]).expect("alloc");
            let mut handle = Handle::default();
            library.must("cuIpcGetMemHandle", [&raw mut handle as u64, address]);
            assert_eq!(open(library, handle), Err(201), "not in the process that exported it");
            let mut child = second_process(TEST, &handle.text());
            wait_for(&mut child);
            let with_child = machine().used_bytes(0);
            let own = || machine().processes(0).into_iter().find(|of| of.pid == std::process::id());
            let held = own().map(|Usage { bytes, .. }| bytes);
            library.must("cuMemFree", [address]);
            assert_eq!(machine().used_bytes(0), with_child, "open elsewhere");
            assert_eq!(own().map(|Usage { bytes, .. }| bytes), held, "and told of its owner");
            let other = library.get("cuMemAlloc", [size]).expect("alloc");
            assert_ne!(other, address, "its place is not given out again");
            library.must("cuMemFree", [other]);
            go_on(&mut child);
            wait_for(&mut child);
            assert_eq!(machine().used_bytes(0), with_child, "opened twice, closed once");
            go_on(&mut child);
            wait_for(&mut child);
            assert_eq!(library.free_bytes(), machine().total_bytes() - with_child + charged);
            child.kill().expect("kill");
            child.wait().expect("wait");
            assert_eq!(machine().used_bytes(0), before);
        }
    });
}

#[test]
fn a_kept_charge_goes_with_the_last_who_had_it_open_though_the_owner_does_nothing() {
    const TEST: &str =
        "a_kept_charge_goes_with_the_last_who_had_it_open_though_the_owner_does_nothing";
    alone(TEST, &[], |library| {
        library.start();
        if let Some(handle) = told() {
            open(library, Handle::parse(&handle)).expect("open");
            return ready();
        }
        let before = machine().used_bytes(0);
        let address = library.get("cuMemAlloc", [64 * MIB]).expect("alloc");
        let mut handle = Handle::default();
        library.must("cuIpcGetMemHandle", [&raw mut handle as u64, address]);
        let mut child = second_process(TEST, &handle.text());
        wait_for(&mut child);
        library.must("cuMemFree", [address]);
        let kept = common::calls(std::process::id());
        let line = kept.iter().find(|call| call.name == "memoryKept").expect("a line");
        assert_eq!((line.arg("dptr"), line.arg("size")), (Some(address), Some(64 * MIB)));
        child.kill().expect("kill");
        child.wait().expect("wait");
        assert_eq!(machine().used_bytes(0), before);
    });
}

#[test]
fn physical_memory_lives_as_long_as_an_importer_holds_it() {
    const TEST: &str = "physical_memory_lives_as_long_as_an_importer_holds_it";
    alone(TEST, &[], |library| {
        library.start();
        if let Some(fd) = told() {
            let fd = fd.parse().expect("number");
            let handle = library.get("cuMemImportFromShareableHandle", [fd, 1]).expect("import");
            let va = library.get("cuMemAddressReserve", [8 * MIB, 0, 0, 0]).expect("reserve");
            library.must("cuMemMap", [va, 8 * MIB, 0, handle, 0]);
            library.must("cuMemRelease", [handle]);
            ready();
            library.must("cuMemUnmap", [va, 8 * MIB]);
            return ready();
        }
        let props = [1u32, 1, 1, 0, 0, 0, 0, 0];
        let handle = library.get("cuMemCreate", [8 * MIB, props.as_ptr() as u64, 0]);
        let handle = handle.expect("create");
        let fd = library.get("cuMemExportToShareableHandle", [handle, 1, 0]).expect("export");
        let mut child = second_process(TEST, &inherited(fd));
        wait_for(&mut child);
        let with_both = machine().used_bytes(0);
        library.must("cuMemRelease", [handle]);
        assert_eq!(machine().used_bytes(0), with_both, "a mapping elsewhere holds it");
        go_on(&mut child);
        wait_for(&mut child);
        assert_eq!(machine().used_bytes(0), with_both - 8 * MIB);
    });
}

#[test]
fn a_pool_and_its_blocks_can_be_had_by_another_process() {
    const TEST: &str = "a_pool_and_its_blocks_can_be_had_by_another_process";
    alone(TEST, &[], |library| {
        library.start();
        if let Some(text) = told() {
            let (fd, handle) = text.split_once(' ').expect("two parts");
            let fd = fd.parse().expect("number");
            let pool = library.get("cuMemPoolImportFromShareableHandle", [fd, 1, 0]).expect("pool");
            let none = library.get("cuMemAllocFromPoolAsync", [MIB, pool, 0]);
            assert_eq!(none, Err(INVALID_VALUE), "no new blocks from an imported pool");
            let handle = Handle::parse(handle);
            let at = &raw const handle as u64;
            let address = library.get("cuMemPoolImportPointer", [pool, at]).expect("pointer");
            let mut value = 0u64;
            library.must("cuMemcpyDtoH", [&raw mut value as u64, address, 8]);
            assert_eq!(value, 0x0505_0505_0505_0505, "the owner wrote it");
            ready();
            library.must("cuMemFreeAsync", [address, 0]);
            return ready();
        }
        let props: [u32; 24] = std::array::from_fn(|index| u32::from(index < 3));
        let pool = library.get("cuMemPoolCreate", [props.as_ptr() as u64]).expect("pool");
        let address = library.get("cuMemAllocFromPoolAsync", [MIB, pool, 0]).expect("alloc");
        library.must("cuMemsetD8", [address, 5, MIB]);
        let fd = library.get("cuMemPoolExportToShareableHandle", [pool, 1, 0]).expect("export");
        let mut handle = Handle::default();
        library.must("cuMemPoolExportPointer", [&raw mut handle as u64, address]);
        let from_default = library.get("cuMemAllocAsync", [MIB, 0]).expect("alloc");
        let refused =
            library.call("cuMemPoolExportPointer", [&raw mut handle as u64, from_default]);
        assert_eq!(refused, INVALID_VALUE, "that pool was not made to be shared");
        let mut child = second_process(TEST, &format!("{} {}", inherited(fd), handle.text()));
        wait_for(&mut child);
        let used = || {
            let mut word = 0u64;
            library.must("cuMemPoolGetAttribute", [pool, 7, &raw mut word as u64]);
            word
        };
        library.must("cuMemFreeAsync", [address, 0]);
        assert_eq!(used(), MIB, "open elsewhere");
        go_on(&mut child);
        wait_for(&mut child);
        assert_eq!(used(), 0);
    });
}

/// `CUDA_EXTERNAL_MEMORY_HANDLE_DESC` of a descriptor, as words.
fn external(kind: u64, fd: u64, size: u64) -> [u64; 13] {
    let mut words = [0; 13];
    (words[0], words[1], words[3]) = (kind, fd, size);
    words
}

#[test]
fn memory_of_another_interface_is_seen_and_charged_to_nobody() {
    alone("memory_of_another_interface_is_seen_and_charged_to_nobody", &[], |library| {
        library.start();
        let before = machine().used_bytes(0);
        // SAFETY: the name is a C string.
        let fd = unsafe { libc::memfd_create(c"theirs".as_ptr(), 0) };
        // SAFETY: just opened.
        assert_eq!(unsafe { libc::ftruncate(fd, 8 << 20) }, 0);
        let too_large = external(1, fd as u64, 9 * MIB);
        let refused = library.get("cuImportExternalMemory", [too_large.as_ptr() as u64]);
        assert_eq!(refused, Err(INVALID_VALUE));
        let wanted = external(1, fd as u64, 8 * MIB);
        let memory =
            library.get("cuImportExternalMemory", [wanted.as_ptr() as u64]).expect("import");
        // SAFETY: a plain system call.
        assert_eq!(unsafe { libc::fcntl(fd, libc::F_GETFD) }, -1, "it is the driver's now");
        let part = [MIB, 2 * MIB, 0].as_ptr() as u64;
        let [one, two] = [(); 2].map(|()| {
            library.get("cuExternalMemoryGetMappedBuffer", [memory, part]).expect("buffer")
        });
        library.must("cuMemsetD8", [one, 9, 2 * MIB]);
        let mut value = 0u8;
        library.must("cuMemcpyDtoH", [&raw mut value as u64, two + 2 * MIB - 1, 1]);
        assert_eq!(value, 9, "two views of one memory");
        library.must("cuMemFree", [one]);
        library.must("cuMemFree", [two]);
        library.must("cuDestroyExternalMemory", [memory]);
        assert_eq!(library.call("cuDestroyExternalMemory", [memory]), 400);
        assert_eq!(machine().used_bytes(0), before);
    });
}

#[test]
fn a_range_given_to_another_device_is_the_same_memory() {
    const TEST: &str = "a_range_given_to_another_device_is_the_same_memory";
    alone(TEST, &[], |library| {
        library.start();
        if let Some(fd) = told() {
            let wanted = external(9, fd.parse().expect("number"), 2 * MIB);
            let memory = library.get("cuImportExternalMemory", [wanted.as_ptr() as u64]);
            let memory = memory.expect("import");
            let part = [0, 2 * MIB, 0].as_ptr() as u64;
            let address = library.get("cuExternalMemoryGetMappedBuffer", [memory, part]);
            library.must("cuMemsetD8", [address.expect("buffer"), 4, 2 * MIB]);
            ready();
            library.must("cuDestroyExternalMemory", [memory]);
            return ready();
        }
        let address = library.get("cuMemAlloc", [8 * MIB]).expect("alloc");
        let part = address + 2 * MIB;
        let fd =
            library.get("cuMemGetHandleForAddressRange", [part, 2 * MIB, 1, 0]).expect("range");
        let beyond = library.get("cuMemGetHandleForAddressRange", [part, 8 * MIB, 1, 0]);
        assert_eq!(beyond, Err(INVALID_VALUE));
        let mut child = second_process(TEST, &inherited(fd));
        wait_for(&mut child);
        let mut value = [0u8; 2];
        library.must("cuMemcpyDtoH", [value.as_mut_ptr() as u64, part, 2]);
        assert_eq!(value, [4; 2]);
        let with_both = machine().used_bytes(0);
        library.must("cuMemFree", [address]);
        assert_eq!(machine().used_bytes(0), with_both, "open elsewhere");
        go_on(&mut child);
        wait_for(&mut child);
        assert_eq!(machine().used_bytes(0), with_both - 8 * MIB);
    });
}
