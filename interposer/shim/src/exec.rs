//! `exec` and `posix_spawn` in the forms that take their arguments as a list: see `hook::follow`.
//!
//! The forms with arguments one by one, `execl` and its kin, cannot be written in stable Rust and are
//! let through, and so are the C library's own calls, as in `system` and `popen`.
//!
//! These run between `vfork` and `exec`, and in forks of processes with many threads. So the real
//! functions and our own path are not found once and remembered, but looked up each time in the
//! loader's list, which needs no lock.

use core::{
    arch::asm,
    ffi::{c_char, c_int, c_void},
    mem::transmute,
    ptr,
};

use hook::{
    elf::{
        self, Name,
        list::{self, Entry},
    },
    follow,
};

use crate::HOOKS;

type Text = *const c_char;
type List = *const Text;

unsafe extern "C" {
    static environ: List;
}

core::arch::global_asm!(".hidden _DYNAMIC");

/// This library in the loader's list.
fn own() -> Option<Entry> {
    let dynamic: usize;
    // SAFETY: computes the address of our own dynamic section, to which the linker gives that name.
    unsafe {
        asm!(
            "lea {}, [rip + _DYNAMIC]",
            out(reg) dynamic,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    list::find(dynamic)
}

/// The next definition of `name`. With the loader's lock only where there is none up to libc's.
fn real(name: &Name) -> Option<usize> {
    let next = own().and_then(|own| own.next(name));
    next.or_else(|| elf::find_after(HOOKS.linkage.inside(), name))
}

/// Calls `exec` with the environment that a program shall be started with; once more with the one
/// that was given where only our change makes it too large for the kernel.
///
/// # Safety
/// `given` is null or valid, as `exec` wants it.
unsafe fn following(given: List, exec: impl Fn(List) -> c_int) -> c_int {
    let Some(own) = own() else { return exec(given) };
    // SAFETY: as `getenv` reads it.
    let environment = unsafe { environ };
    let exec = |list: List| {
        let result = exec(list);
        if !ptr::eq(list, given) && is_too_large(result) { exec(given) } else { result }
    };
    // SAFETY: the caller's promise, and the C library's own list.
    unsafe { follow::with(given, environment, own.path(), exec) }
}

/// Whether the kernel would not take so much: `posix_spawn` answers with the error itself.
fn is_too_large(result: c_int) -> bool {
    // SAFETY: this thread's `errno`.
    result == libc::E2BIG || result == -1 && unsafe { *errno() } == libc::E2BIG
}

/// What a function answers that there is not: execveat is younger than the others.
fn missing() -> c_int {
    // SAFETY: this thread's `errno`.
    unsafe { *errno() = libc::ENOSYS };
    -1
}

fn errno() -> *mut c_int {
    // SAFETY: always succeeds.
    unsafe { libc::__errno_location() }
}

macro_rules! with_an_environment {
    ($(fn $name:ident($($before:ident: $type:ty),*; environment $(, $after:ident: $of:ty)*) else $missing:expr;)*) => {
        $(
            #[unsafe(no_mangle)]
            unsafe extern "C" fn $name($($before: $type,)* environment: List $(, $after: $of)*) -> c_int {
                const NAME: Name = Name::new(stringify!($name));
                type Real = unsafe extern "C" fn($($type,)* List $(, $of)*) -> c_int;
                let Some(real) = real(&NAME) else { return $missing };
                // SAFETY: the function of that name has this type.
                let real = unsafe { transmute::<usize, Real>(real) };
                // SAFETY: the program's own arguments.
                let exec = |environment| unsafe { real($($before,)* environment $(, $after)*) };
                // SAFETY: the program's own argument.
                unsafe { following(environment, exec) }
            }
        )*
    };
}

with_an_environment! {
    fn execve(path: Text, arguments: List; environment) else missing();
    fn execvpe(file: Text, arguments: List; environment) else missing();
    fn execveat(folder: c_int, path: Text, arguments: List; environment, flags: c_int) else missing();
    fn fexecve(file: c_int, arguments: List; environment) else missing();
    fn posix_spawn(
        pid: *mut c_int, path: Text, actions: *const c_void, attributes: *const c_void, arguments: List;
        environment
    ) else libc::ENOSYS;
    fn posix_spawnp(
        pid: *mut c_int, file: Text, actions: *const c_void, attributes: *const c_void, arguments: List;
        environment
    ) else libc::ENOSYS;
}

macro_rules! with_our_environment {
    ($(fn $name:ident(path, arguments) or $explicit:ident;)*) => {
        $(
            #[unsafe(no_mangle)]
            unsafe extern "C" fn $name(path: Text, arguments: List) -> c_int {
                const NAME: Name = Name::new(stringify!($name));
                const EXPLICIT: Name = Name::new(stringify!($explicit));
                // SAFETY: as `getenv` reads it.
                let given = unsafe { environ };
                let exec = |environment: List| {
                    if ptr::eq(environment, given) {
                        let Some(real) = real(&NAME) else { return missing() };
                        // SAFETY: the function of that name has this type.
                        let real = unsafe { transmute::<usize, unsafe extern "C" fn(Text, List) -> c_int>(real) };
                        // SAFETY: the program's own arguments.
                        return unsafe { real(path, arguments) };
                    }
                    let Some(real) = real(&EXPLICIT) else { return missing() };
                    // SAFETY: the function of that name has this type.
                    let real = unsafe { transmute::<usize, unsafe extern "C" fn(Text, List, List) -> c_int>(real) };
                    // SAFETY: the program's own arguments, and the list for this call.
                    unsafe { real(path, arguments, environment) }
                };
                // SAFETY: the C library's own list.
                unsafe { following(given, exec) }
            }
        )*
    };
}

with_our_environment! {
    fn execv(path, arguments) or execve;
    fn execvp(path, arguments) or execvpe;
}
