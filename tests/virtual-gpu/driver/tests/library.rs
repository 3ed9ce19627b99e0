//! The driver library from outside: symbols, memory, its log, and what death does to it.

mod common;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};

use common::{Library, alone, calls, second_process};
use machine::{Call, Config, Machine};

const MIB: u64 = 1 << 20;
const GRANULE: u64 = 2 * MIB;
const OUT_OF_MEMORY: i32 = 2;
const NOT_INITIALIZED: i32 = 3;

#[test]
fn an_address_given_out_is_that_of_an_exported_symbol() {
    alone("an_address_given_out_is_that_of_an_exported_symbol", &[], |library| {
        for (name, version, flags, symbol) in [
            ("cuMemAlloc", 13000, 0, "cuMemAlloc_v2"),
            ("cuMemAlloc", 2000, 0, "cuMemAlloc"),
            ("cuMemFree", 12000, 0, "cuMemFree_v2"),
            ("cuMemAllocAsync", 12000, 0, "cuMemAllocAsync"),
            ("cuMemAllocAsync", 12000, 2, "cuMemAllocAsync_ptsz"),
            ("cuMemsetD8", 12000, 2, "cuMemsetD8_v2_ptds"),
            ("cuStreamBeginCapture", 12000, 2, "cuStreamBeginCapture_v2_ptsz"),
            ("cuStreamGetCaptureInfo", 11080, 0, "cuStreamGetCaptureInfo_v2"),
            ("cuStreamGetCaptureInfo", 12030, 0, "cuStreamGetCaptureInfo_v3"),
            ("cuTensorMapEncodeTiled", 12000, 0, "cuTensorMapEncodeTiled"),
            ("cuTensorMapEncodeIm2colWide", 12080, 0, "cuTensorMapEncodeIm2colWide"),
            ("cuCtxGetDevice", 12090, 0, "cuCtxGetDevice"),
            ("cuCtxGetDevice", 13000, 0, "cuCtxGetDevice_v2"),
            ("cuGetProcAddress", 11080, 0, "cuGetProcAddress"),
            ("cuGetProcAddress", 12000, 0, "cuGetProcAddress_v2"),
        ] {
            let exported = library.symbol(symbol);
            assert_ne!(exported, 0, "{symbol}");
            assert_eq!(library.look_up(name, version, flags), (exported, 0), "{name} {version}");
        }
        assert_eq!(library.look_up("cuMemAlloc_v2", 13000, 0), (0, 1));
        assert_eq!(library.look_up("", 0, 0), (0, 1));
        assert_eq!(library.look_up("cuMemAllocAsync", 11010, 0), (0, 2));
    });
}

#[test]
fn an_older_driver_does_not_know_newer_functions() {
    let old = [("VGPU_DRIVER_VERSION", "12020")];
    alone("an_older_driver_does_not_know_newer_functions", &old, |library| {
        assert_eq!(library.look_up("cuStreamBeginCaptureToGraph", 12020, 0), (0, 1));
        let known = library.look_up("cuStreamGetCaptureInfo", 13000, 0);
        assert_eq!(known, (library.symbol("cuStreamGetCaptureInfo_v2"), 0));
    });
}

#[test]
fn nothing_works_before_init_or_in_a_forked_child() {
    alone("nothing_works_before_init_or_in_a_forked_child", &[], |library| {
        assert_eq!(library.get("cuMemAlloc", [MIB]), Err(NOT_INITIALIZED));
        library.start();
        // SAFETY: the child only calls the driver and exits.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            let refused = library.get("cuMemAlloc", [MIB]) == Err(NOT_INITIALIZED)
                && library.call("cuInit", [0]) == NOT_INITIALIZED;
            // SAFETY: ends the child at once, without the test's own clean-up.
            unsafe { libc::_exit(if refused { 0 } else { 1 }) };
        }
        let mut status = -1;
        // SAFETY: our own child, room for its status.
        unsafe { libc::waitpid(pid, &mut status, 0) };
        assert_eq!(status, 0);
    });
}

#[test]
fn addresses_look_like_the_drivers_and_contents_are_real() {
    alone("addresses_look_like_the_drivers_and_contents_are_real", &[], |library| {
        library.start();
        let small = library.get("cuMemAlloc", [100]).expect("alloc");
        let next = library.get("cuMemAlloc", [100]).expect("alloc");
        let large = library.get("cuMemAlloc", [MIB]).expect("alloc");
        assert_eq!(next - small, 512);
        assert_eq!(large % GRANULE, 0);
        let text = *b"what goes in comes out";
        let mut back = [0u8; 22];
        library.must("cuMemcpyHtoD", [next, text.as_ptr() as u64, 22]);
        library.must("cuMemcpyDtoD", [large + 1000, next, 22]);
        library.must("cuMemcpyDtoH", [back.as_mut_ptr() as u64, large + 1000, 22]);
        assert_eq!(back, text);
        assert_eq!(library.call("cuMemcpyDtoH", [back.as_mut_ptr() as u64, large + MIB, 1]), 1);
        library.must("cuMemFree", [large]);
        assert_eq!(library.call("cuMemFree", [large]), 1, "only once");
    });
}

#[test]
fn a_card_is_full_when_its_memory_is_taken() {
    let small = [("VGPU_TOTAL_MB", "1000"), ("VGPU_CONTEXT_MB", "100")];
    alone("a_card_is_full_when_its_memory_is_taken", &small, |library| {
        library.start();
        assert_eq!(library.free_bytes(), 900 * MIB);
        let most = library.get("cuMemAlloc", [900 * MIB]).expect("fits");
        assert_eq!(library.get("cuMemAlloc", [1]), Err(OUT_OF_MEMORY));
        library.must("cuMemFree", [most]);
        library.get("cuMemAlloc", [1]).expect("fits again");
        assert_eq!(library.free_bytes(), 898 * MIB, "a small block takes a chunk");
        library.get("cuMemAllocAsync", [MIB, 0]).expect("alloc");
        assert_eq!(library.free_bytes(), 866 * MIB, "a pool takes 32 MiB");
        library.must("cuDevicePrimaryCtxReset", [0]);
        library.start();
        assert_eq!(library.free_bytes(), 900 * MIB, "a reset takes all with it");
    });
}

#[test]
fn unmapped_memory_goes_only_when_its_handle_does() {
    alone("unmapped_memory_goes_only_when_its_handle_does", &[], |library| {
        library.start();
        let before = library.free_bytes();
        let props = [1u32, 0, 1, 0, 0, 0, 0, 0];
        let props = props.as_ptr() as u64;
        let va = library.get("cuMemAddressReserve", [8 * GRANULE, 0, 0, 0]).expect("reserve");
        let handle = library.get("cuMemCreate", [2 * GRANULE, props, 0]).expect("create");
        library.must("cuMemMap", [va + GRANULE, 2 * GRANULE, 0, handle, 0]);
        assert_eq!(library.call("cuMemMap", [va, 2 * GRANULE, 0, handle, 0]), 1, "overlaps");
        assert_eq!(library.call("cuMemsetD8", [va + GRANULE, 1, 1]), 700, "no access yet");
        let access = [1u32, 0, 3];
        library.must("cuMemSetAccess", [va + GRANULE, 2 * GRANULE, access.as_ptr() as u64, 1]);
        library.must("cuMemsetD8", [va + GRANULE, 1, 2 * GRANULE]);
        library.must("cuMemRelease", [handle]);
        assert_eq!(library.free_bytes(), before - 2 * GRANULE, "the mapping holds it");
        assert_eq!(library.call("cuMemUnmap", [va + GRANULE, GRANULE]), 1, "not in part");
        assert_eq!(library.call("cuMemAddressFree", [va, 8 * GRANULE]), 1, "still mapped");
        library.must("cuMemUnmap", [va + GRANULE, 2 * GRANULE]);
        assert_eq!(library.free_bytes(), before);
        library.must("cuMemAddressFree", [va, 8 * GRANULE]);
    });
}

#[test]
fn a_capture_refuses_plain_allocations_and_is_spoilt_by_them() {
    alone("a_capture_refuses_plain_allocations_and_is_spoilt_by_them", &[], |library| {
        library.start();
        let stream = library.get("cuStreamCreate", [0]).expect("stream");
        library.must("cuStreamBeginCapture", [stream, 0]);
        assert_eq!(library.get("cuMemAlloc", [MIB]), Err(900));
        let mut graph = 1u64;
        assert_eq!(library.call("cuStreamEndCapture", [stream, &raw mut graph as u64]), 901);
        assert_eq!(graph, 0);
        library.must("cuStreamBeginCapture", [stream, 2]);
        library.get("cuMemAlloc", [MIB]).expect("a relaxed capture does not mind");
        library.must("cuStreamEndCapture", [stream, &raw mut graph as u64]);
        assert_ne!(graph, 0);
    });
}

/// The signature of `cuTensorMapEncodeTiled` in cuda.h, whose last arguments lie on the stack.
type EncodeTiled = extern "C" fn(
    *mut TensorMap,
    i32,
    u32,
    u64,
    *const u64,
    *const u64,
    *const u32,
    *const u32,
    i32,
    i32,
    i32,
    i32,
) -> i32;

/// `CUtensorMap`, and words behind it that nobody may touch.
#[repr(C, align(128))]
struct TensorMap([u64; 16], [u64; 16]);

#[test]
fn a_tensor_map_is_written_whole_and_no_further() {
    alone("a_tensor_map_is_written_whole_and_no_further", &[], |library| {
        const INVALID_VALUE: i32 = 1;
        let address = library.symbol("cuTensorMapEncodeTiled");
        // SAFETY: that is the function's signature.
        let encode: EncodeTiled = unsafe { std::mem::transmute(address) };
        let mut map = TensorMap([7; 16], [7; 16]);
        let (dims, strides) = ([64u64, 64].as_ptr(), [128u64].as_ptr());
        let (extent, steps) = ([32u32, 32].as_ptr(), [1u32, 1].as_ptr());
        let tensor = |map| encode(map, 9, 2, 0x7f00_0000, dims, strides, extent, steps, 0, 3, 2, 0);
        assert_eq!(tensor(&mut map), 0);
        assert_eq!((map.0, map.1), ([0; 16], [7; 16]));
        library.must("cuTensorMapReplaceAddress", [&raw mut map as u64, 0x7f00_0000]);
        assert_eq!(tensor(std::ptr::null_mut()), INVALID_VALUE);
        assert_eq!(library.call("cuTensorMapReplaceAddress", [0, 0x7f00_0000]), INVALID_VALUE);
        library.must("cuTensorMapEncodeIm2col", [&raw mut map.1 as u64]);
        assert_eq!(map.1, [0; 16]);
    });
}

/// Bytes that a log says its process holds, by the rules in the README.
fn replay(calls: &[Call]) -> u64 {
    let (mut linear, mut physical, mut pools) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    let mut contexts = 0;
    for call in calls.iter().filter(|call| call.result == 0) {
        let arg = |key: &str| call.arg(key).unwrap_or_else(|| panic!("{key} in {call:?}"));
        match call.name.as_str() {
            "cuDevicePrimaryCtxRetain" => contexts += Config::from_env().context_bytes,
            "cuMemAlloc" => {
                assert_eq!(linear.insert(arg("dptr"), arg("size").next_multiple_of(GRANULE)), None);
            }
            "cuMemFree" => assert!(linear.remove(&arg("dptr")).is_some()),
            "cuMemCreate" => assert_eq!(physical.insert(arg("handle"), arg("size")), None),
            "cuMemRelease" => assert!(physical.remove(&arg("handle")).is_some()),
            "poolReserve" => {
                pools.insert(arg("pool"), arg("reserved"));
            }
            _ => {}
        }
    }
    let sum = |map: BTreeMap<u64, u64>| map.into_values().sum::<u64>();
    contexts + sum(linear) + sum(physical) + sum(pools)
}

/// A small generator of numbers, the same in every run.
fn next(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *seed >> 33
}

/// One of many ways to take or give memory.
fn step(library: Library, seed: &mut u64, held: &mut Vec<(&'static str, u64)>) {
    let size = (next(seed) % 300 + 1) * MIB;
    if next(seed) % 5 < 2 && !held.is_empty() {
        let (free, what) = held.swap_remove(next(seed) as usize % held.len());
        return library.must(free, [what, 0]);
    }
    let taken = match next(seed) % 3 {
        0 => ("cuMemFree", library.get("cuMemAlloc", [size])),
        1 => ("cuMemFreeAsync", library.get("cuMemAllocAsync", [size, 0])),
        _ => {
            let props = [1u32, 0, 1, 0, 0, 0, 0, 0];
            let (size, props) = (size.next_multiple_of(GRANULE), props.as_ptr() as u64);
            ("cuMemRelease", library.get("cuMemCreate", [size, props, 0]))
        }
    };
    if next(seed).is_multiple_of(8) {
        library.must("cuStreamSynchronize", [0]);
    }
    match taken {
        (free, Ok(what)) => held.push((free, what)),
        (_, Err(code)) => assert_eq!(code, OUT_OF_MEMORY),
    }
}

#[test]
fn the_log_adds_up_to_what_the_machine_counts() {
    let small = [("VGPU_TOTAL_MB", "8000")];
    alone("the_log_adds_up_to_what_the_machine_counts", &small, |library| {
        library.start();
        let machine = Machine::observe(&Config::from_env()).expect("machine");
        let (mut seed, mut held) = (1, Vec::new());
        for round in 0..40 {
            for _ in 0..50 {
                step(library, &mut seed, &mut held);
            }
            let calls = calls(std::process::id());
            assert!(calls.iter().enumerate().all(|(at, call)| call.seq == at as u64));
            assert_eq!(replay(&calls), machine.used_bytes(0), "round {round}");
        }
        let failed = calls(std::process::id()).iter().filter(|call| call.result != 0).count();
        assert!(failed > 10, "the card was full at times: {failed}");
    });
}

#[test]
fn a_killed_process_leaves_a_whole_log_and_no_memory() {
    const TEST: &str = "a_killed_process_leaves_a_whole_log_and_no_memory";
    alone(TEST, &[], |library| {
        if std::env::var("VGPU_PART").is_ok() {
            library.start();
            println!("ready");
            std::io::stdout().flush().expect("flush");
            let (mut seed, mut held) = (7, Vec::new());
            loop {
                step(library, &mut seed, &mut held);
            }
        }
        let machine = Machine::observe(&Config::from_env()).expect("machine");
        for _ in 0..5 {
            let mut child = second_process(TEST, "victim");
            let output = BufReader::new(child.stdout.take().expect("output"));
            assert!(output.lines().map_while(Result::ok).any(|line| line.contains("ready")));
            while machine.used_bytes(0) < 3000 * MIB {
                std::thread::yield_now();
            }
            child.kill().expect("kill");
            child.wait().expect("wait");
            let calls = calls(child.id());
            assert!(calls.len() > 10);
            assert!(calls.iter().enumerate().all(|(at, call)| call.seq == at as u64));
            assert_eq!(machine.used_bytes(0), 0);
        }
    });
}
