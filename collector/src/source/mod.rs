//! Reading what traced processes write: ring files, found and drained with `pread`.
//!
//! Whatever a file says is a claim. Its size decides its layout, every offset is computed from
//! that layout, what is read is copied once and then checked. A file of random bytes gives a
//! [`Damage`], or empty tables, and never more memory than a few times its size. Nothing is ever
//! mapped: a writer that cuts its file short must not be able to kill its reader.

mod damage;
mod discover;
mod drain;
#[cfg(test)]
pub(crate) mod fake;
mod follow;
#[cfg(test)]
mod hostile;
mod identity;
mod live;
mod off;
mod refusal;
mod ring_file;
mod tables;
mod tidy;
mod view;

pub use damage::Damage;
pub use discover::{Found, offs, rings, user_folder};
pub use drain::{Drain, Drained, Progress};
pub use follow::Follower;
pub use live::LiveSet;
pub use off::unrecorded;
pub use refusal::{Refusal, refusal};
pub use ring_file::RingFile;
pub use tables::TableReader;
pub use tidy::{COLLECTORS, remove_rest, tidy};
pub use view::{job, job_with_growth};
