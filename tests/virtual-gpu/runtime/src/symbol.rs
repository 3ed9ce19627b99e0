//! What compiled CUDA code registers when it is loaded: its kernels, of which nothing is kept, and
//! its variables.
//!
//! A variable's memory is a module's, so it is not the client's allocation: it comes from the
//! driver's `cuLibraryGetGlobal`, one library standing for all compiled code.
use crate::driver::Driver;
use crate::export::with_context;
use crate::types::{Address, Handle, INVALID_SYMBOL, INVALID_VALUE, Out, Outcome, Status};
use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr::null_mut;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A `__device__` or `__constant__` variable of compiled code.
struct Variable {
    name: CString,
    size: usize,
}

#[derive(Default)]
struct Compiled {
    /// By the address of the variable's host shadow.
    variables: BTreeMap<usize, Variable>,
    /// The driver's library that the variables live in; 0 before the first use.
    library: usize,
}

static COMPILED: Mutex<Compiled> = Mutex::new(Compiled { variables: BTreeMap::new(), library: 0 });

fn compiled() -> MutexGuard<'static, Compiled> {
    COMPILED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The device address and size of the variable whose host shadow is at `shadow`.
fn find(driver: &Driver, shadow: *const c_void) -> Result<(Address, usize), Status> {
    let mut compiled = compiled();
    if compiled.library == 0 {
        let mut library: Handle = null_mut();
        // SAFETY: a local for the result, any code (none is looked at), and no options.
        unsafe {
            driver.cuLibraryLoadData(
                &mut library,
                c"".as_ptr().cast(),
                null_mut(),
                null_mut(),
                0,
                null_mut(),
                null_mut(),
                0,
            )
        }?;
        compiled.library = library.expose_provenance();
    }
    let library = std::ptr::with_exposed_provenance_mut(compiled.library);
    let variable = compiled.variables.get(&shadow.addr()).ok_or(INVALID_SYMBOL)?;
    let (mut address, mut size) = (null_mut(), 0);
    // SAFETY: locals for the results, and a library that was loaded above.
    unsafe { driver.cuLibraryGetGlobal(&mut address, &mut size, library, variable.name.as_ptr()) }?;
    Ok((address, variable.size))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cudaGetSymbolAddress(address: Out<Address>, symbol: *const c_void) -> Status {
    with_context(|driver| address.set(find(driver, symbol)?.0))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cudaGetSymbolSize(size: Out<usize>, symbol: *const c_void) -> Status {
    with_context(|driver| size.set(find(driver, symbol)?.1))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cudaMemcpyToSymbol(
    symbol: *const c_void,
    from: Address,
    size: usize,
    offset: usize,
    _kind: c_int,
) -> Status {
    with_context(|driver| -> Outcome {
        let (address, room) = find(driver, symbol)?;
        if offset.checked_add(size).is_none_or(|end| end > room) {
            return Err(INVALID_VALUE);
        }
        // SAFETY: `from` is the caller's promise; the variable has room.
        unsafe { driver.cuMemcpy(address.wrapping_byte_add(offset), from, size) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn __cudaRegisterVar(
    _code: *mut Handle,
    shadow: *mut c_char,
    _device_address: *mut c_char,
    name: *const c_char,
    _external: c_int,
    size: usize,
    _constant: c_int,
    _global: c_int,
) {
    if name.is_null() {
        return;
    }
    // SAFETY: the compiler emits a C string here.
    let name = unsafe { CStr::from_ptr(name) }.to_owned();
    compiled().variables.insert(shadow.addr(), Variable { name, size });
}

/// The handle of compiled code: never looked into, but it must not be null.
#[unsafe(no_mangle)]
extern "C" fn __cudaRegisterFatBinary(_code: *const c_void) -> *mut Handle {
    static HANDLE: [usize; 1] = [0];
    HANDLE.as_ptr().cast_mut().cast()
}

#[unsafe(no_mangle)]
extern "C" fn __cudaRegisterFatBinaryEnd(_code: *mut Handle) {}

#[unsafe(no_mangle)]
extern "C" fn __cudaUnregisterFatBinary(_code: *mut Handle) {}

#[unsafe(no_mangle)]
extern "C" fn __cudaRegisterFunction(
    _code: *mut Handle,
    _stub: *const c_void,
    _device_function: *mut c_char,
    _name: *const c_char,
    _thread_limit: c_int,
    _thread: *mut c_void,
    _block_index: *mut c_void,
    _block: *mut c_void,
    _grid: *mut c_void,
    _warp_size: *mut c_int,
) {
}

/// Says that the code's module is loaded.
#[unsafe(no_mangle)]
extern "C" fn __cudaInitModule(_code: *mut Handle) -> c_char {
    1
}
