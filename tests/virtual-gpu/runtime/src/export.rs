//! How a function of the runtime is made: find the driver, make sure of a context, keep the error.
use crate::context;
use crate::driver::Driver;
use crate::thread;
use crate::types::{Outcome, SUCCESS, Status};

/// Runs a call that needs no context.
pub fn with_driver(call: impl FnOnce(&Driver) -> Outcome) -> Status {
    let outcome = Driver::get().and_then(call);
    thread::note(outcome.err().unwrap_or(SUCCESS))
}

/// Runs a call in the thread's context.
pub fn with_context(call: impl FnOnce(&Driver) -> Outcome) -> Status {
    with_driver(|driver| {
        context::ensure(driver)?;
        call(driver)
    })
}

/// Functions of the runtime that are one function of the driver. One row: the name, how it is
/// called, the driver's function with its arguments.
macro_rules! forward {
    ($($around:ident: $name:ident($($arg:ident: $type:ty),*) = $driver:ident($($pass:expr),*);)*) => {
        $(
            #[unsafe(no_mangle)]
            unsafe extern "C" fn $name($($arg: $type),*) -> $crate::types::Status {
                $crate::export::$around(|driver| {
                    // SAFETY: the caller's promise for this function is the one the driver's asks
                    // for.
                    unsafe { driver.$driver($($pass),*) }
                })
            }
        )*
    };
}
pub(crate) use forward;
