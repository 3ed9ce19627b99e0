//! The exported and the hidden entries of each hook: see `hook::linkage` for why there are several.

use core::mem::transmute;

use hook::{
    abi::{NOT_INITIALIZED, Status},
    call::Call,
    linkage::{Entry, Hidden},
    table::Api,
};

use crate::{HOOKS, thread};

fn call(api: Api) -> Call<'static> {
    // SAFETY: the block is the calling thread's and lives as long as it.
    unsafe { Call::new(&HOOKS, thread::block(), api) }
}

macro_rules! entries {
    (
        driver { $(
            $symbol:ident $since:literal => $module:ident::$behaviour:ident($($arg:ident: $type:ty),*);
        )* }
        torch { $(
            $torch:ident $mangled:literal => $c10:ident::$report:ident($($field:ident: $of:ty),*);
        )* }
    ) => {
        /// For callers that are linked to the names.
        #[allow(missing_docs, clippy::missing_safety_doc, reason = "documented by NVIDIA and PyTorch")]
        pub mod exported {
            use super::*;
            $(
                #[unsafe(no_mangle)]
                pub unsafe extern "C" fn $symbol($($arg: $type),*) -> Status {
                    let Some(real) = HOOKS.linkage.next(Api::$symbol) else {
                        return NOT_INITIALIZED;
                    };
                    // SAFETY: the function of that name has this type.
                    let real = unsafe { transmute::<usize, unsafe extern "C" fn($($type),*) -> Status>(real) };
                    // SAFETY: the program's own arguments.
                    unsafe { hook::$module::$behaviour(&call(Api::$symbol), real, $($arg),*) }
                }
            )*
            $(
                #[unsafe(export_name = $mangled)]
                pub unsafe extern "C" fn $torch($($field: $of),*) {
                    let real = HOOKS.linkage.next(Api::$torch);
                    // SAFETY: the function of that name has this type.
                    let real = real.map(|real| unsafe { transmute::<usize, unsafe extern "C" fn($($of),*)>(real) });
                    // SAFETY: the program's own arguments.
                    unsafe { hook::$c10::$report(&call(Api::$torch), real, $($field),*) }
                }
            )*
        }

        /// For callers that looked the names up, one for each place.
        mod hidden {
            use super::*;
            $(
                pub unsafe extern "C" fn $symbol<const PLACE: usize>($($arg: $type),*) -> Status {
                    let Some(real) = HOOKS.linkage.given(PLACE, Api::$symbol) else {
                        return NOT_INITIALIZED;
                    };
                    // SAFETY: the look-up of that name gave this function.
                    let real = unsafe { transmute::<usize, unsafe extern "C" fn($($type),*) -> Status>(real) };
                    // SAFETY: the program's own arguments.
                    unsafe { hook::$module::$behaviour(&call(Api::$symbol), real, $($arg),*) }
                }
            )*
        }

        /// The hidden entries in the order of the table. Nobody looks torch's functions up.
        pub static HIDDEN: Hidden = [
            [
                $(Entry(hidden::$symbol::<0> as *const ()),)*
                $(Entry(exported::$torch as *const ()),)*
            ],
            [
                $(Entry(hidden::$symbol::<1> as *const ()),)*
                $(Entry(exported::$torch as *const ()),)*
            ],
        ];
    };
}

hook::hooks!(entries);
