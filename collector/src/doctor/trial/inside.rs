//! What the trial does in its own process, with the library preloaded.

use std::{
    io::{self, BufRead, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    doctor::{
        elf,
        names::{self, Names},
    },
    sys::cuda::{self, Driver, Refused},
};

/// What is taken: above the size from which the driver gives an extent of its own.
const BYTES: usize = 4 << 20;
/// A function that only our library has.
const OURS: &str = "memtrace_mark";

/// One line of what the trial says.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Said {
    /// The library is not loaded.
    Untraced,
    /// The driver's library.
    Driver {
        /// Its file.
        path: PathBuf,
        /// Its CUDA version.
        version: Option<i32>,
    },
    /// It cannot be loaded: the loader's sentence.
    NoDriver(String),
    /// What became of the names.
    Names(Names),
    /// The driver refused a call.
    Refused {
        /// Which.
        call: String,
        /// Its status.
        status: Option<i32>,
    },
    /// Memory is held until a line comes in.
    Holds {
        /// Its address.
        address: u64,
        /// Its bytes.
        bytes: u64,
    },
    /// It was given back; waits once more.
    GaveBack {
        /// Its address.
        address: u64,
    },
}

/// Does it; `library` is the one that should be preloaded.
///
/// # Errors
/// Nobody listens any more.
pub fn run(library: &Path) -> io::Result<()> {
    if cuda::linked(OURS).is_none() {
        return say(&Said::Untraced);
    }
    let driver = match Driver::open() {
        Ok(driver) => driver,
        Err(sentence) => return say(&Said::NoDriver(sentence)),
    };
    let version = driver.number("cuDriverGetVersion").ok();
    say(&Said::Driver { path: driver.path().to_owned(), version })?;
    if let (Ok(own), Ok(real)) = (elf::read(library), elf::read(driver.path())) {
        say(&Said::Names(names::ask(&driver, library, &own, &real)))?;
    }
    match allocate(&driver) {
        Ok(()) => Ok(()),
        Err(Stop::Refused(call, status)) => say(&Said::Refused { call: call.to_owned(), status }),
        Err(Stop::Alone(error)) => Err(error),
    }
}

/// Why the allocation was not tried to its end.
enum Stop {
    Refused(&'static str, Refused),
    Alone(io::Error),
}

fn allocate(driver: &Driver) -> Result<(), Stop> {
    let refused = |call| move |status| Stop::Refused(call, status);
    driver.init().map_err(refused("cuInit"))?;
    driver.enter(0).map_err(refused("cuDevicePrimaryCtxRetain"))?;
    let address = driver.take(BYTES).map_err(refused("cuMemAlloc"))?;
    show(&Said::Holds { address, bytes: BYTES as u64 }).map_err(Stop::Alone)?;
    driver.give(address).map_err(refused("cuMemFree"))?;
    show(&Said::GaveBack { address }).map_err(Stop::Alone)
}

/// Says what is so now, and waits until it has been looked at.
fn show(said: &Said) -> io::Result<()> {
    say(said)?;
    io::stdin().lock().read_line(&mut String::new()).map(drop)
}

fn say(said: &Said) -> io::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, said)?;
    out.write_all(b"\n")?;
    out.flush()
}
