//! Handing signals on to the traced command.
//!
//! The handler does it itself, with one `kill`: a thread that waits would need the signals blocked,
//! and the command would inherit that. Caught signals, other than blocked or ignored ones, are back
//! at their default after `exec`.

use std::{
    mem::MaybeUninit,
    ptr,
    sync::atomic::{AtomicI32, Ordering::SeqCst},
};

/// Who gets the signals; 0 while there is nobody.
static COMMAND: AtomicI32 = AtomicI32::new(0);
/// The last signal that came while there was nobody.
static EARLY: AtomicI32 = AtomicI32::new(0);

/// The signals that are handed on.
const FORWARDED: [i32; 6] =
    [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT, libc::SIGUSR1, libc::SIGUSR2];

/// From here on signals no longer end this process; they go to the command. Those that are ignored
/// (`nohup`) stay ignored.
pub fn catch() {
    for signal in FORWARDED {
        if !is_ignored(signal) {
            set_handler(signal);
        }
    }
}

/// Names the process that gets the signals, and gives it the one that came too early.
pub fn forward_to(pid: u32) {
    let Ok(pid) = i32::try_from(pid) else { return };
    COMMAND.store(pid, SeqCst);
    let early = EARLY.swap(0, SeqCst);
    if early != 0 {
        send(pid, early);
    }
}

/// The command is gone: its pid may soon be another process's.
pub fn forward_to_nobody() {
    COMMAND.store(0, SeqCst);
}

fn is_ignored(signal: i32) -> bool {
    let mut now = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: only asks; `now` is as large as the call expects.
    let result = unsafe { libc::sigaction(signal, ptr::null(), now.as_mut_ptr()) };
    // SAFETY: it was zeroed, which is a valid value, and perhaps filled since.
    let now = unsafe { now.assume_init() };
    result == 0 && now.sa_sigaction == libc::SIG_IGN
}

fn set_handler(signal: i32) {
    let action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: all zero is a valid value: no flags, an empty mask.
    let mut action = unsafe { action.assume_init() };
    action.sa_sigaction = hand_on as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
    // SAFETY: the handler has the signature that SA_SIGINFO asks for and calls only `kill`.
    unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) };
}

extern "C" fn hand_on(signal: i32, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the kernel passes a valid pointer.
    let code = unsafe { (*info).si_code };
    // What the terminal sends, it sends to the whole group: the command has it already.
    if code == libc::SI_KERNEL {
        return;
    }
    match COMMAND.load(SeqCst) {
        0 => EARLY.store(signal, SeqCst),
        pid => send(pid, signal),
    }
}

fn send(pid: i32, signal: i32) {
    // SAFETY: takes two integers. `errno` may change, which nobody looks at in between: the only
    // interrupted code that could is a system call, and it is started again.
    unsafe { libc::kill(pid, signal) };
}
