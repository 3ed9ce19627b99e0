//! `libmemtrace.so`: the names under which programs find the hooks.
//!
//! Preloaded into every process of a job, nearly all of which never touch a GPU: so it needs
//! libc.so.6 and nothing else, has no constructor, and records nothing until a hooked driver call
//! succeeds. Then it opens the recorder, `libmemtrace_core.so`, which lies beside it.
//!
//! * `entries`: exported and hidden entry of each hook, from the table in crate `hook`
//! * `exec`: gives the library back to programs whose launcher replaced `LD_PRELOAD`
//! * `marks`, `nvtx`: what programs call, or NVTX calls for them, to mark their time
//! * `resolve`: `dlsym` and `dlvsym`, which jump to the real ones
//! * `recorder`: finds, opens and ends the recorder
//! * `thread`: the 64 bytes of thread-local storage
#![no_std]

#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
compile_error!(
    "the entries of dlsym are written for x86-64 Linux; others need their own in resolve.rs and thread.rs"
);

mod entries;
mod exec;
mod marks;
mod nvtx;
mod recorder;
mod resolve;
mod thread;

use hook::hooks::Hooks;

/// The hooks of this process.
static HOOKS: Hooks = Hooks::new(&entries::HIDDEN, recorder::open);

/// Nothing here can panic: the name below exists nowhere, so that the library does not link if any
/// code that leads here is left in it. In a traced process there would be nothing right to do.
#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    unsafe extern "C" {
        fn memtrace_some_code_can_panic() -> !;
    }
    // SAFETY: never called, see above.
    unsafe { memtrace_some_code_can_panic() }
}
