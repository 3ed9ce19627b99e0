//! The machine that the virtual GPU's libraries share.
//!
//! Every process that uses the virtual driver maps one small accounting file under `/dev/shm`. Two
//! processes that name the same file sit on the same machine: they fill the same cards and see
//! each other's memory go and come back. The driver charges what it gives out, the management
//! library reads.
//!
//! ```text
//!   driver, process A ──charge──▶ ┌───────────────────────────────┐
//!   driver, process B ──charge──▶ │ lock │ cards │ slot │ slot │ … │ ◀──read── management library
//!                                 └───────────────────────────────┘
//! ```
//!
//! Here is also the log of calls, writer and reader: the truth that tests compare with.

mod account;
mod config;
mod holds;
mod identity;
mod log_read;
mod log_write;
mod process;
mod shared;

pub use account::{Machine, OutOfMemory, Usage};
pub use config::Config;
pub use identity::Identity;
pub use log_read::{Call, read_log};
pub use log_write::{CallLog, Field, dec, hex};
pub use process::ProcessKey;

/// Most cards that one machine can have.
pub const MAX_DEVICES: usize = 8;
