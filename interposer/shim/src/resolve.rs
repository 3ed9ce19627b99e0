//! `dlsym` and `dlvsym`.
//!
//! What they return depends on the object they are called from, which they learn from the return
//! address. So these are no functions that call the real ones, but jumps to them: the real one
//! finds the stack as if it had been called itself. Only a name that is in the table, asked for
//! with a handle that says where to look, is answered here.

use core::{
    arch::naked_asm,
    ffi::{c_char, c_void},
    mem::transmute,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use hook::{
    elf::{self, Name},
    loader, resolver,
};

use crate::HOOKS;

/// Address of the real `dlsym`; 0 until first needed.
static DLSYM: AtomicUsize = AtomicUsize::new(0);
/// Address of the real `dlvsym`; 0 until first needed.
static DLVSYM: AtomicUsize = AtomicUsize::new(0);

/// Jumps to the real `dlsym`, except for names that begin with "cu" and [`answer`] knows.
///
/// Only the first two arguments are looked at on the way, so they are all that is kept; they and
/// the 8 bytes of padding keep the stack aligned to 16 bytes at the calls.
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn dlsym(_handle: *mut c_void, _name: *const c_char) -> *mut c_void {
    naked_asm!(
        "test rsi, rsi",
        "jz 2f",
        "cmp byte ptr [rsi], 'c'",
        "jne 2f",
        "cmp byte ptr [rsi + 1], 'u'",
        "jne 2f",
        "mov rdx, [rsp]",
        "push rdi",
        "push rsi",
        "sub rsp, 8",
        "call {answer}",
        "add rsp, 8",
        "pop rsi",
        "pop rdi",
        "test rax, rax",
        "jz 2f",
        "ret",
        "2: mov rax, [rip + {real}]",
        "test rax, rax",
        "jnz 3f",
        "push rdi",
        "push rsi",
        "sub rsp, 8",
        "call {find}",
        "add rsp, 8",
        "pop rsi",
        "pop rdi",
        "3: jmp rax",
        answer = sym answer,
        real = sym DLSYM,
        find = sym find_dlsym,
    )
}

/// Jumps to the real `dlvsym`, except in the case of [`resolver::next_dlsym_is_ours`].
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn dlvsym(
    _handle: *mut c_void,
    _name: *const c_char,
    _version: *const c_char,
) -> *mut c_void {
    naked_asm!(
        "cmp rdi, -1",
        "jne 2f",
        "push rdi",
        "push rsi",
        "push rdx",
        "mov rdx, [rsp + 24]",
        "call {answer}",
        "pop rdx",
        "pop rsi",
        "pop rdi",
        "test rax, rax",
        "jz 2f",
        "ret",
        "2: mov rax, [rip + {real}]",
        "test rax, rax",
        "jnz 3f",
        "push rdi",
        "push rsi",
        "push rdx",
        "call {find}",
        "pop rdx",
        "pop rsi",
        "pop rdi",
        "3: jmp rax",
        answer = sym answer_versioned,
        real = sym DLVSYM,
        find = sym find_dlvsym,
    )
}

/// What `dlsym` returns to `caller` for a hooked name; 0 if the real one shall answer.
extern "C" fn answer(handle: *mut c_void, name: *const c_char, caller: usize) -> usize {
    let Some(real) = find(&DLSYM, &loader::DLSYM) else { return 0 };
    // SAFETY: that is its type.
    let real = unsafe { transmute::<usize, resolver::Dlsym>(real) };
    // SAFETY: the program's own arguments.
    unsafe { resolver::dlsym(&HOOKS, real, handle, name, caller) }.unwrap_or(0)
}

/// What `dlvsym` returns to `caller` if that is our `dlsym`; 0 if the real one shall answer.
extern "C" fn answer_versioned(handle: *mut c_void, name: *const c_char, caller: usize) -> usize {
    // SAFETY: the program's own arguments.
    let ours = unsafe { resolver::next_dlsym_is_ours(&HOOKS.linkage, handle, name, caller) };
    if ours { dlsym as *const () as usize } else { 0 }
}

extern "C" fn find_dlsym() -> usize {
    find(&DLSYM, &loader::DLSYM).unwrap_or(nothing as *const () as usize)
}

extern "C" fn find_dlvsym() -> usize {
    find(&DLVSYM, &loader::DLVSYM).unwrap_or(nothing as *const () as usize)
}

/// In place of a real function that is not there (musl has no `dlvsym`).
extern "C" fn nothing() -> usize {
    0
}

fn find(slot: &AtomicUsize, name: &Name) -> Option<usize> {
    let known = slot.load(Relaxed);
    if known != 0 {
        return Some(known);
    }
    let found = elf::find_after(HOOKS.linkage.inside(), name)?;
    slot.store(found, Relaxed);
    Some(found)
}
