//! CUDA's driver, asked directly: what `doctor` needs of it.

use std::{
    ffi::{CStr, CString, OsStr, c_char, c_int, c_void},
    mem::transmute,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    ptr,
};

const LIBRARY: &CStr = c"libcuda.so.1";

/// The driver's library, loaded into this process and never unloaded.
#[derive(Debug)]
pub struct Driver {
    handle: *mut c_void,
    path: PathBuf,
    base: usize,
}

/// A function of the driver, or the hook in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Function(usize);

/// The two forms of `cuGetProcAddress`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// That of CUDA 11.
    Four,
    /// That of CUDA 12, which also says why it found nothing.
    Five,
}

/// The beginning of the loader's `struct link_map`.
#[repr(C)]
struct LinkMap {
    base: usize,
    name: *const c_char,
}

/// Why a call did not do what it was asked to: the driver's status, or `None` if it has no such
/// function.
pub type Refused = Option<c_int>;

impl Driver {
    /// Loads the driver as CUDA's runtime does.
    ///
    /// # Errors
    /// The loader's sentence.
    pub fn open() -> Result<Self, String> {
        // SAFETY: a C string; the library's constructors are the driver's own.
        let handle = unsafe { libc::dlopen(LIBRARY.as_ptr(), libc::RTLD_NOW) };
        if handle.is_null() {
            return Err(error());
        }
        let mut map: *const LinkMap = ptr::null();
        let to = (&raw mut map).cast::<c_void>();
        // SAFETY: a valid handle, and room for the pointer that this request gives.
        let result = unsafe { libc::dlinfo(handle, libc::RTLD_DI_LINKMAP, to) };
        if result != 0 || map.is_null() {
            return Err(error());
        }
        // SAFETY: the loader's own, for as long as the library is loaded.
        let map = unsafe { map.read() };
        // SAFETY: the loader's names are C strings.
        let name = unsafe { CStr::from_ptr(map.name) };
        let path = PathBuf::from(OsStr::from_bytes(name.to_bytes()));
        Ok(Self { handle, path, base: map.base })
    }

    /// Its file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What `dlsym` gives for `name`: the hook, where the library is preloaded.
    #[must_use]
    pub fn found(&self, name: &str) -> Option<Function> {
        look_up(self.handle, name)
    }

    /// What lies in the driver's file at `offset`, where its table of symbols has a function.
    #[must_use]
    pub const fn real(&self, offset: u64) -> Function {
        Function(self.base.wrapping_add(offset as usize))
    }

    /// Where `function` lies in the driver's file, if it does.
    #[must_use]
    pub fn offset(&self, function: Function) -> Option<u64> {
        function.0.checked_sub(self.base).map(|offset| offset as u64)
    }

    /// What the `cuGetProcAddress` at `function` gives for a query; `None` for nothing.
    #[must_use]
    pub fn ask(
        &self,
        (function, form): (Function, Form),
        name: &CStr,
        version: c_int,
        flags: u64,
    ) -> Option<Function> {
        type Four = unsafe extern "C" fn(*const c_char, *mut usize, c_int, u64) -> c_int;
        type Five =
            unsafe extern "C" fn(*const c_char, *mut usize, c_int, u64, *mut c_int) -> c_int;
        let (mut given, mut why) = (0, 0);
        let status = match form {
            Form::Four => {
                // SAFETY: the driver's function of that name and form, or its hook.
                let ask = unsafe { transmute::<usize, Four>(function.0) };
                // SAFETY: a C string and room for an address.
                unsafe { ask(name.as_ptr(), &raw mut given, version, flags) }
            }
            Form::Five => {
                // SAFETY: as above.
                let ask = unsafe { transmute::<usize, Five>(function.0) };
                // SAFETY: as above, and room for a number.
                unsafe { ask(name.as_ptr(), &raw mut given, version, flags, &raw mut why) }
            }
        };
        (status == 0 && given != 0).then_some(Function(given))
    }

    /// Calls `name` with a pointer to room for a number, and gives the number.
    ///
    /// # Errors
    /// The driver refused.
    pub fn number(&self, name: &str) -> Result<c_int, Refused> {
        let function = self.found(name).ok_or(None)?;
        // SAFETY: the caller's names, of `cuDriverGetVersion` and its like, have this type.
        let call =
            unsafe { transmute::<usize, unsafe extern "C" fn(*mut c_int) -> c_int>(function.0) };
        let mut number = 0;
        // SAFETY: room for the number.
        status(unsafe { call(&raw mut number) })?;
        Ok(number)
    }

    /// `cuInit`.
    ///
    /// # Errors
    /// The driver refused.
    pub fn init(&self) -> Result<(), Refused> {
        let function = self.found("cuInit").ok_or(None)?;
        // SAFETY: its type.
        let call = unsafe { transmute::<usize, unsafe extern "C" fn(u32) -> c_int>(function.0) };
        // SAFETY: takes no pointer.
        status(unsafe { call(0) })
    }

    /// Makes the primary context of `device` the calling thread's.
    ///
    /// # Errors
    /// The driver refused.
    pub fn enter(&self, device: c_int) -> Result<(), Refused> {
        let retain = self.found("cuDevicePrimaryCtxRetain").ok_or(None)?;
        let set = self.found("cuCtxSetCurrent").ok_or(None)?;
        // SAFETY: its type.
        let retain = unsafe {
            transmute::<usize, unsafe extern "C" fn(*mut usize, c_int) -> c_int>(retain.0)
        };
        // SAFETY: its type.
        let set = unsafe { transmute::<usize, unsafe extern "C" fn(usize) -> c_int>(set.0) };
        let mut context = 0;
        // SAFETY: room for the context.
        status(unsafe { retain(&raw mut context, device) })?;
        // SAFETY: the context that was just given.
        status(unsafe { set(context) })
    }

    /// Takes `bytes` of device memory and gives its address.
    ///
    /// # Errors
    /// The driver refused.
    pub fn take(&self, bytes: usize) -> Result<u64, Refused> {
        let function = self.found("cuMemAlloc_v2").ok_or(None)?;
        // SAFETY: its type.
        let call = unsafe {
            transmute::<usize, unsafe extern "C" fn(*mut u64, usize) -> c_int>(function.0)
        };
        let mut address = 0;
        // SAFETY: room for the address.
        status(unsafe { call(&raw mut address, bytes) })?;
        Ok(address)
    }

    /// Gives device memory back.
    ///
    /// # Errors
    /// The driver refused.
    pub fn give(&self, address: u64) -> Result<(), Refused> {
        let function = self.found("cuMemFree_v2").ok_or(None)?;
        // SAFETY: its type.
        let call = unsafe { transmute::<usize, unsafe extern "C" fn(u64) -> c_int>(function.0) };
        // SAFETY: takes no pointer of ours; the driver refuses what it did not give.
        status(unsafe { call(address) })
    }
}

fn status(status: c_int) -> Result<(), Refused> {
    if status == 0 { Ok(()) } else { Err(Some(status)) }
}

/// What a program that is linked to `name` calls: the first definition of those that all of the
/// process sees.
#[must_use]
pub fn linked(name: &str) -> Option<Function> {
    look_up(libc::RTLD_DEFAULT, name)
}

/// The file that `function` lies in.
#[must_use]
pub fn file_of(function: Function) -> Option<PathBuf> {
    // SAFETY: all-zero bytes are a valid `Dl_info`.
    let mut about: libc::Dl_info = unsafe { std::mem::zeroed() };
    let address = ptr::without_provenance(function.0);
    // SAFETY: the address is only compared; `about` is valid for writing.
    let found = unsafe { libc::dladdr(address, &raw mut about) };
    if found == 0 || about.dli_fname.is_null() {
        return None;
    }
    // SAFETY: the loader's names are C strings.
    let name = unsafe { CStr::from_ptr(about.dli_fname) };
    Some(PathBuf::from(OsStr::from_bytes(name.to_bytes())))
}

fn look_up(handle: *mut c_void, name: &str) -> Option<Function> {
    let name = CString::new(name).ok()?;
    // SAFETY: a handle of the loader's, and a C string.
    let address = unsafe { libc::dlsym(handle, name.as_ptr()) };
    (!address.is_null()).then(|| Function(address.addr()))
}

fn error() -> String {
    // SAFETY: gives a C string of the loader's, or null.
    let text = unsafe { libc::dlerror() };
    if text.is_null() {
        return "the loader does not say why".to_owned();
    }
    // SAFETY: null was excluded.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}
