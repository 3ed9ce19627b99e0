//! Why a file cannot be read as a ring. Each reads as the second half of a sentence that begins
//! with the file's path.

use std::io;

use wire::header::LAYOUT_VERSION;

/// What is wrong with a ring file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// The user may not read it.
    #[error("cannot be read: no permission")]
    NoPermission,
    /// It went away, or reading it failed.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// A folder, a link, a pipe.
    #[error("is not a plain file")]
    NotAFile,
    /// No room for a header.
    #[error("is not a ring of memtrace: {0} bytes are too few")]
    TooSmall(u64),
    /// The magic is not there.
    #[error("is not a ring of memtrace: it does not begin like one")]
    NotARing,
    /// Another version of the layout.
    #[error(
        "was written in layout {found}, and this memtrace reads layout {LAYOUT_VERSION}: \
         use the memtrace that traced the process"
    )]
    OtherVersion {
        /// The layout it names.
        found: u32,
    },
    /// The size is not the one of the profile it names.
    #[error("is damaged: {0} bytes are not the size of the layout it names")]
    WrongSize(u64),
    /// Its process has not finished making it.
    #[error("is not ready: its process is starting, or died while it did")]
    Starting,
    /// A mode of no meaning.
    #[error("is damaged: its mode word says nothing")]
    NoMode,
}

impl From<io::Error> for Damage {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::PermissionDenied => Self::NoPermission,
            io::ErrorKind::UnexpectedEof => Self::Unreadable("it was cut short".into()),
            _ if error.raw_os_error() == Some(libc::ELOOP) => Self::NotAFile,
            kind => Self::Unreadable(kind.to_string()),
        }
    }
}
