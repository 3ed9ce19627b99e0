//! Threads, fork, exec.

use crate::workshop::{SHIM, Workshop, calls};

#[test]
fn threads_their_last_destructors_forks_and_execs_are_recorded_and_end_well() {
    let shop = Workshop::with_driver("life");
    let program = shop.program("life.c", &["-L.", "-l:libcuda.so.1"]);
    let bare = shop.run("", &[&program]);
    assert_eq!(bare.code, Some(0), "{}", bare.stderr);
    let events = shop.run(SHIM, &[&program]).unchanged(&bare);
    let took = calls(&events).iter().filter(|call| *call == "took cuMemAlloc_v2").count();
    // One in main, 100 and one at the end of each thread, one in the fork (this recorder does not
    // mind whose child it is), one after exec.
    assert_eq!(took, 1 + 4 * 101 + 1 + 1);
    assert_eq!(events.iter().filter(|event| *event == "start").count(), 2);
    // The fork left by _exit and has no finaliser.
    assert_eq!(events.iter().filter(|event| *event == "exit").count(), 2);
}
