//! What `dlsym` and `cuGetProcAddress` hand out for a hooked name.

use core::{
    ffi::{CStr, c_char, c_void},
    ops::ControlFlow,
};

use crate::{
    abi::{SUCCESS, Status},
    call::Call,
    elf,
    hooks::Hooks,
    linkage::{Found, Linkage},
    loader,
    table::{self, ROWS},
};

type GetProcAddress = unsafe extern "C" fn(*const c_char, *mut usize, i32, u64) -> Status;
type GetProcAddressV2 =
    unsafe extern "C" fn(*const c_char, *mut usize, i32, u64, *mut u32) -> Status;
/// The real `dlsym`.
pub type Dlsym = unsafe extern "C" fn(*mut c_void, *const c_char) -> *mut c_void;

/// `cuGetProcAddress` of CUDA 11: four arguments.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn get_proc_address(
    call: &Call<'_>,
    real: GetProcAddress,
    name: *const c_char,
    function: *mut usize,
    version: i32,
    flags: u64,
) -> Status {
    // SAFETY: the program's own call.
    let status = unsafe { real(name, function, version, flags) };
    // SAFETY: the program's own arguments, of a call that returned `status`.
    unsafe { replace(call.hooks(), status, name, function, version, flags) };
    status
}

/// `cuGetProcAddress` of CUDA 12: five arguments.
///
/// # Safety
/// `real` is the real function; the arguments are the program's.
pub unsafe fn get_proc_address_v2(
    call: &Call<'_>,
    real: GetProcAddressV2,
    name: *const c_char,
    function: *mut usize,
    version: i32,
    flags: u64,
    found: *mut u32,
) -> Status {
    // SAFETY: the program's own call.
    let status = unsafe { real(name, function, version, flags, found) };
    // SAFETY: the program's own arguments, of a call that returned `status`.
    unsafe { replace(call.hooks(), status, name, function, version, flags) };
    status
}

/// Puts a hook in place of the function that a look-up found.
///
/// # Safety
/// The arguments are those of the real call, which returned `status`.
unsafe fn replace(
    hooks: &Hooks,
    status: Status,
    name: *const c_char,
    function: *mut usize,
    version: i32,
    flags: u64,
) {
    if status != SUCCESS || name.is_null() || function.is_null() {
        return;
    }
    // SAFETY: the driver read the same C string.
    let name = unsafe { CStr::from_ptr(name) }.to_bytes();
    // SAFETY: the driver wrote there; a name that was not found left a null.
    let real = unsafe { *function };
    if real == 0 {
        return;
    }
    if let Some(hook) = stand_in(hooks, name, version, flags, real) {
        // SAFETY: as above.
        unsafe { *function = hook };
    }
}

/// The hook for the function at `real`, which `cuGetProcAddress` gave for a query.
///
/// The address says which version and flavour of the name it is, whatever was asked for.
fn stand_in(hooks: &Hooks, name: &[u8], version: i32, flags: u64, real: usize) -> Option<usize> {
    if !ROWS.iter().any(|row| row.asked_as().as_bytes() == name) {
        return None;
    }
    let linkage = &hooks.linkage;
    let row = match linkage.identify(real, name) {
        Found::Ours => return None,
        Found::Row(row) => row,
        // A version of the function whose arguments the table does not know.
        Found::OtherSymbol => {
            hooks.count_unmapped();
            return None;
        }
        Found::Unknown => {
            hooks.count_unmapped();
            table::by_query(name, version, flags)?
        }
    };
    hooks.wrap(row, real)
}

/// What `dlsym(handle, name)` shall return to `caller`; `None` if the real one shall answer the
/// caller itself, which only a jump to it can do: it looks at who called.
///
/// # Safety
/// `real` is the real `dlsym`; `handle` and `name` are the program's.
#[must_use]
pub unsafe fn dlsym(
    hooks: &Hooks,
    real: Dlsym,
    handle: *mut c_void,
    name: *const c_char,
    caller: usize,
) -> Option<usize> {
    // Their natural order already contains the exported entries.
    if name.is_null() || handle == libc::RTLD_DEFAULT || handle == libc::RTLD_NEXT {
        return None;
    }
    // SAFETY: the program's C string.
    let row = table::by_symbol(unsafe { CStr::from_ptr(name) }.to_bytes())?;
    if Linkage::is_libcuda(caller) {
        return None;
    }
    // SAFETY: the program's own call; with this kind of handle nothing depends on who calls.
    let found = unsafe { real(handle, name) } as usize;
    if found == 0 || hooks.linkage.is_ours(found) {
        return None;
    }
    loader::pin(&hooks.linkage, found);
    Some(hooks.wrap(row, found).unwrap_or(found))
}

/// Whether `dlvsym(RTLD_NEXT, "dlsym", ...)` from `caller` is a search for the next `dlsym` whose
/// answer is ours. A versioned search passes over our unversioned one, and whoever gets libc's that
/// way (HAMi, nvshare) would go around us. For a caller that comes after us the answer must not be
/// ours, or the two would call each other for ever.
///
/// # Safety
/// `name` is the program's.
#[must_use]
pub unsafe fn next_dlsym_is_ours(
    linkage: &Linkage,
    handle: *mut c_void,
    name: *const c_char,
    caller: usize,
) -> bool {
    if name.is_null() || handle != libc::RTLD_NEXT {
        return false;
    }
    // SAFETY: the program's C string.
    if unsafe { CStr::from_ptr(name) } != c"dlsym" {
        return false;
    }
    let mut ours = false;
    elf::each_after(caller, |object| {
        if object.symbol(&loader::DLSYM).is_none() {
            return ControlFlow::Continue(());
        }
        ours = object.contains(linkage.inside());
        ControlFlow::Break(())
    });
    ours
}
