//! Callers that look the names up: `dlsym`, `dlvsym`, `cuGetProcAddress`.

use crate::workshop::{SHIM, Workshop, calls};

#[test]
fn every_kind_of_handle_answers_as_without_the_library() {
    let shop = Workshop::new("handles");
    shop.library("part.c", "libone.so", &["-DPART=1"]);
    shop.library("part.c", "libtwo.so", &["-DPART=2"]);
    let program = shop.program("handles.c", &["-rdynamic"]);
    let bare = shop.run("", &[&program]);
    assert!(bare.stdout.contains("one cuSharedName: found libone.so | -"), "{}", bare.stdout);
    assert!(bare.stdout.contains("asked inside, default: found libtwo.so"), "{}", bare.stdout);
    assert!(bare.stdout.contains("undefined symbol: cuMissing"), "{}", bare.stdout);
    shop.run(SHIM, &[&program]).unchanged(&bare);
}

#[test]
fn both_forms_of_get_proc_address_give_hooks_of_the_right_version_and_flavour() {
    let shop = Workshop::with_driver("get_proc_address");
    let program = shop.program("looked_up.c", &[]);
    let bare = shop.run("", &[&program]);
    assert_eq!(bare.code, Some(0), "{}", bare.stderr);
    let events = shop.run(SHIM, &[&program]).unchanged(&bare);
    let want = [
        "took cuMemAlloc_v2",
        "took cuMemAlloc",
        "took cuMemAllocAsync",
        "took cuMemAllocAsync_ptsz",
        // Its address was nobody's symbol: hooked by name, and counted. The later version of
        // cuMemAlloc was looked up after it, is left alone, and counted too.
        "lost cuMemHostAlloc",
        "took cuMemHostAlloc",
        "lost cuMemFree_v2",
        "giving cuMemFree_v2",
        "gave cuMemFree_v2",
        "giving cuMemFree_v2",
        "gave cuMemFree_v2",
    ];
    let mut got = calls(&events);
    // The count is handed over with the next event.
    let counted = got.iter().position(|call| call == "giving cuMemFree_v2").unwrap();
    let lost = got.iter().position(|call| call == "lost cuMemFree_v2").unwrap();
    let lost = got.remove(lost);
    got.insert(counted, lost);
    assert_eq!(got, want);
    let narrow = events.iter().find(|event| event.starts_with("took cuMemAlloc ")).unwrap();
    assert!(narrow.contains("size=2000"), "{narrow}");
    assert!(narrow.contains("address=0x11000"), "32 bits of it: {narrow}");
}

#[test]
fn a_neighbour_with_a_dlsym_of_its_own_is_in_force_on_either_side() {
    let shop = Workshop::with_driver("limiter");
    shop.library("limiter.c", "liblimiter.so", &[]);
    let program = shop.program("by_dlsym.c", &[]);
    let bare = shop.run("./liblimiter.so", &[&program]);
    assert_eq!((bare.stdout.as_str(), bare.stderr.as_str()), ("0 0\n", "limiter saw 1\n"));
    for preload in ["./liblimiter.so:./libmemtrace.so", "./libmemtrace.so:./liblimiter.so"] {
        let events = shop.run(preload, &[&program]).unchanged(&bare);
        assert_eq!(calls(&events), ["took cuMemAlloc_v2"], "{preload}");
    }
}

#[test]
fn beside_a_neighbour_that_answers_one_kind_of_look_up_the_other_is_recorded_too() {
    let shop = Workshop::with_driver("one_kind");
    shop.library("limiter.c", "liblimiter.so", &[]);
    let program = shop.program("two_ways.c", &[]);
    let bare = shop.run("./liblimiter.so", &[&program]);
    assert_eq!(bare.stdout, "0 0\n0 0\n0 0\n");
    assert_eq!(bare.stderr, "limiter saw 2\n");
    for preload in ["./liblimiter.so:./libmemtrace.so", "./libmemtrace.so:./liblimiter.so"] {
        let events = shop.run(preload, &[&program]).unchanged(&bare);
        assert_eq!(calls(&events), ["took cuMemAlloc_v2"; 4], "{preload}");
    }
}

#[test]
fn a_quota_is_in_force_on_either_side_and_memory_is_counted_once() {
    let shop = Workshop::with_driver("quota");
    shop.library("quota.c", "libquota.so", &["-Wl,-Bsymbolic"]);
    let program = shop.program("two_ways.c", &[]);
    let bare = shop.run("./libquota.so", &[&program]);
    assert_eq!(bare.stdout, "0 0\n0 2\n0 2\n");
    assert_eq!(bare.stderr, "saw 4, refused 2\n");
    // In front of us it refuses where nobody sees it; behind us its refusals are calls that failed.
    let preloads = [
        ("./libquota.so:./libmemtrace.so", [0, 0].as_slice()),
        ("./libmemtrace.so:./libquota.so", [0, 2, 0, 2].as_slice()),
    ];
    for (preload, results) in preloads {
        let events = shop.run(preload, &[&program]).unchanged(&bare);
        let took = events.iter().filter(|event| event.starts_with("took cuMemAlloc_v2 "));
        let took = took.filter_map(|event| event.split_once("result=")?.1.split(' ').next());
        let took: Vec<i32> = took.map(|result| result.parse().unwrap()).collect();
        assert_eq!(took, results, "{preload}");
    }
}

#[test]
fn closing_and_opening_the_driver_again_leaves_no_stale_address() {
    let shop = Workshop::with_driver("reopen");
    let program = shop.program("by_dlsym.c", &[]);
    let bare = shop.run("", &[&program, "reopen"]);
    assert_eq!((bare.stdout.as_str(), bare.code), ("0 0\n", Some(0)));
    let events = shop.run(SHIM, &[&program, "reopen"]).unchanged(&bare);
    assert_eq!(calls(&events), ["took cuMemAlloc_v2"]);
}

#[test]
fn a_plugin_that_takes_the_driver_along_leaves_no_stale_address() {
    let shop = Workshop::with_driver("plugins");
    shop.library("part.c", "libtwo.so", &["-DPART=2"]);
    shop.library("plugin.c", "libplugin.so", &["-L.", "-l:libcuda.so.1"]);
    let program = shop.program("plugins.c", &[]);
    let bare = shop.run("", &[&program]);
    assert_eq!((bare.stdout.as_str(), bare.code), ("0\n0\n0\n", Some(0)));
    let events = shop.run(SHIM, &[&program]).unchanged(&bare);
    assert_eq!(calls(&events), ["took cuMemAlloc_v2"; 3]);
}

#[test]
fn the_driver_that_looks_itself_up_finds_itself() {
    let shop = Workshop::with_driver("itself");
    let program = shop.program("by_dlsym.c", &[]);
    let look = [("LOOK_YOURSELF_UP", "1")];
    let bare = shop.run_with("", &[&program], &look);
    assert_eq!(bare.stdout, "0 0\n");
    let events = shop.run_with(SHIM, &[&program], &look).unchanged(&bare);
    assert_eq!(calls(&events), ["took cuMemAlloc_v2"]);
}
