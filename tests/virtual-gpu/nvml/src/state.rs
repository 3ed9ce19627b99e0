//! The machine this process looks at, and how many times it asked to.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use machine::{Config, Identity, Machine};

use crate::ffi::{Code, Outcome};

static MACHINE: OnceLock<Option<Machine>> = OnceLock::new();
static USERS: AtomicU32 = AtomicU32::new(0);

/// A card's handle: opaque to the caller, and never null.
pub type Handle = usize;

const FIRST_HANDLE: Handle = 0x7600_0000;

/// `nvmlInit`: opens the machine at the first call.
pub fn init() -> Outcome {
    let opened = MACHINE.get_or_init(|| Machine::observe(&Config::from_env()).ok());
    opened.as_ref().ok_or(Code::DRIVER_NOT_LOADED)?;
    USERS.fetch_add(1, SeqCst);
    Ok(())
}

/// `nvmlShutdown`: the machine stays mapped for the next one.
pub fn shutdown() -> Outcome {
    let less = |users: u32| users.checked_sub(1);
    USERS.fetch_update(SeqCst, SeqCst, less).map(|_| ()).map_err(|_| Code::UNINITIALIZED)
}

/// The machine, between `nvmlInit` and `nvmlShutdown`.
pub fn machine() -> Outcome<&'static Machine> {
    let opened = MACHINE.get().and_then(Option::as_ref);
    opened.filter(|_| USERS.load(SeqCst) > 0).ok_or(Code::UNINITIALIZED)
}

/// Handle of the machine's card `index`.
pub fn handle(index: usize) -> Outcome<Handle> {
    let known = index < machine()?.devices();
    if known { Ok(FIRST_HANDLE + index) } else { Err(Code::INVALID_ARGUMENT) }
}

/// The machine's index of a card.
pub fn index(handle: Handle) -> Outcome<usize> {
    let index = handle.checked_sub(FIRST_HANDLE).ok_or(Code::INVALID_ARGUMENT)?;
    let known = index < machine()?.devices();
    if known { Ok(index) } else { Err(Code::INVALID_ARGUMENT) }
}

/// What a card calls itself.
pub fn identity(handle: Handle) -> Outcome<Identity> {
    Ok(machine()?.identity(index(handle)?))
}

/// Handle of the first card that fits.
pub fn find(fits: impl Fn(&Identity) -> bool) -> Outcome<Handle> {
    let machine = machine()?;
    let found = (0..machine.devices()).find(|&index| fits(&machine.identity(index)));
    handle(found.ok_or(Code::NOT_FOUND)?)
}
