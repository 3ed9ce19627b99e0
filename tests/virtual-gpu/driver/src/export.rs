//! From one row to everything that the outside sees of a function.
//!
//! A row names the function as `cuGetProcAddress` knows it, its arguments, its behaviour, and each
//! exported symbol with the version it came in:
//!
//! ```text
//! cuMemAllocAsync(dptr: Out<u64>, size: usize, stream: u64) => locked alloc {
//!     11020: cuMemAllocAsync, 11020 twin: cuMemAllocAsync_ptsz,
//! }
//! ```
//!
//! `locked` behaviours get the driver's state, and need an initialised driver; `free` ones work
//! at any time. `twin` marks the form for the per-thread default stream.

/// One exported symbol.
pub struct Export {
    /// Name that `cuGetProcAddress` takes, without suffix.
    pub name: &'static str,
    /// First version that has it: 1000 × major + 10 × minor.
    pub version: u32,
    /// Form for the per-thread default stream, `_ptsz` or `_ptds`.
    pub twin: bool,
    /// Address of the exported symbol itself.
    pub address: Address,
}

/// A function's address in a static table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Address(pub *const ());

// SAFETY: an address of code, never read through.
unsafe impl Sync for Address {}

/// Makes a table of exports out of rows; see the module's description.
macro_rules! exports {
    ($($name:ident $args:tt => $how:ident $body:ident {
        $($version:literal $($twin:ident)? : $symbol:ident),+ $(,)?
    })*) => {
        &[$($($crate::export::Export {
            name: stringify!($name),
            version: $version,
            twin: $crate::export::is_twin!($($twin)?),
            address: $crate::export::export!($how $body $args $symbol),
        }),+),*]
    };
}

/// Defines one symbol and gives its address.
macro_rules! export {
    (locked $body:ident ($($arg:ident: $type:ty),* $(,)?) $symbol:ident) => {{
        #[unsafe(no_mangle)]
        extern "C" fn $symbol($($arg: $type),*) -> i32 {
            $crate::driver::enter(|driver| $body(driver, $($arg),*))
        }
        $crate::export::Address($symbol as *const ())
    }};
    (free $body:ident ($($arg:ident: $type:ty),* $(,)?) $symbol:ident) => {{
        #[unsafe(no_mangle)]
        extern "C" fn $symbol($($arg: $type),*) -> i32 {
            $crate::error::status(&$body($($arg),*))
        }
        $crate::export::Address($symbol as *const ())
    }};
}

macro_rules! is_twin {
    () => {
        false
    };
    (twin) => {
        true
    };
}

pub(crate) use {export, exports, is_twin};
