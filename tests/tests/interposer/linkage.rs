//! Callers that are linked to the driver's names.

use crate::workshop::{SHIM, Workshop, calls};

#[test]
fn a_linked_program_is_recorded_from_cuinit_on_with_results_and_errno_untouched() {
    let shop = Workshop::with_driver("linked");
    let program = shop.program("linked.c", &["-L.", "-l:libcuda.so.1"]);
    let bare = shop.run("", &[&program]);
    assert_eq!(bare.stdout, "3 0 0 2 0 1 0x10000 errno 71\n");
    let events = shop.run(SHIM, &[&program]).unchanged(&bare);
    let want = [
        "start",
        "driver cuInit class=0 device=63 result=0 address=0 size=13020 aux=0 extra=0 depth=1",
        "device cuMemAlloc_v2 class=0 device=0 result=0 address=0xaa size=1073741824 aux=0 extra=0 depth=1",
        "took cuMemAlloc_v2 class=1 device=0 result=0 address=0x10000 size=4096 aux=0xc0 extra=0 depth=1",
        "took cuMemAlloc_v2 class=1 device=0 result=2 address=0 size=2147483648 aux=0xc0 extra=0 depth=1",
        "giving cuMemFree_v2 class=0 device=63 result=0 address=0x10000 size=0 aux=0 extra=0 depth=1",
        "gave cuMemFree_v2 class=0 device=63 result=0 address=0x10000 size=0 aux=0 extra=0 depth=1",
        "exit",
    ];
    assert_eq!(events, want);
}

#[test]
fn a_neighbour_sees_its_calls_on_either_side() {
    let shop = Workshop::with_driver("neighbour");
    shop.library("neighbour.c", "libneighbour.so", &[]);
    let program = shop.program("linked.c", &["-L.", "-l:libcuda.so.1"]);
    let bare = shop.run("./libneighbour.so", &[&program]);
    assert_eq!(bare.stderr, "neighbour saw 3\n");
    for preload in ["./libneighbour.so:./libmemtrace.so", "./libmemtrace.so:./libneighbour.so"] {
        let events = shop.run(preload, &[&program]).unchanged(&bare);
        let allocations = calls(&events);
        assert_eq!(allocations[..2], ["took cuMemAlloc_v2", "took cuMemAlloc_v2"], "{preload}");
    }
}

#[test]
fn without_a_driver_the_exported_names_say_that_there_is_none() {
    let shop = Workshop::new("no_driver");
    let program = shop.program("default_scope.c", &[]);
    let run = shop.run(SHIM, &[&program]);
    // CUDA_ERROR_NOT_INITIALIZED, and nothing written.
    assert_eq!((run.stdout.as_str(), run.code), ("3 3 5\n", Some(0)));
    assert_eq!(run.events, [] as [&str; 0]);
}

#[test]
fn with_no_recorder_beside_it_or_none_wanted_the_library_changes_nothing() {
    let shop = Workshop::with_driver("no_recorder");
    let program = shop.program("linked.c", &["-L.", "-l:libcuda.so.1"]);
    let bare = shop.run("", &[&program]);
    let disabled = shop.run_with(SHIM, &[&program], &[("MEMTRACE_DISABLE", "1")]);
    assert_eq!(disabled.unchanged(&bare), [] as [&str; 0]);
    // A recorder that will not record: $EVENTS cannot be written.
    let refused = shop.run_with(SHIM, &[&program], &[("EVENTS", "/nonexistent/events")]);
    assert_eq!(refused.unchanged(&bare), [] as [&str; 0]);
    std::fs::write(shop.path("libmemtrace_core.so"), "no library").unwrap();
    assert_eq!(shop.run(SHIM, &[&program]).unchanged(&bare), [] as [&str; 0]);
    std::fs::remove_file(shop.path("libmemtrace_core.so")).unwrap();
    assert_eq!(shop.run(SHIM, &[&program]).unchanged(&bare), [] as [&str; 0]);
}

#[test]
fn a_relative_path_in_ld_preload_still_leads_to_the_recorder_after_chdir() {
    let shop = Workshop::with_driver("wanderer");
    let program = shop.program("wanderer.c", &["-L.", "-l:libcuda.so.1"]);
    let bare = shop.run("", &[&program]);
    assert_eq!(bare.stdout, "0 0\n");
    // Found through LD_LIBRARY_PATH, which is ".".
    let events = shop.run("libmemtrace.so", &[&program]).unchanged(&bare);
    assert_eq!(calls(&events), ["took cuMemAlloc_v2"]);
}
