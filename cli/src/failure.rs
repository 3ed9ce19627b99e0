//! What goes wrong, in one sentence, and what to do about it.

use std::fmt::{self, Display, Formatter};

/// Hint for who got the command wrong.
pub const SEE_HELP: &str = "memtrace --help lists the commands and what they take";

/// Exit status of a command that could not do what it was asked to.
pub const STATUS: u8 = 2;

/// The end of a command that could not do what it was asked to.
#[derive(Debug)]
pub struct Failure {
    /// What is wrong.
    pub sentence: String,
    /// What to do about it.
    pub hint: String,
}

impl Failure {
    /// A failure.
    pub fn new(sentence: impl Display, hint: impl Display) -> Self {
        Self { sentence: sentence.to_string(), hint: hint.to_string() }
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "memtrace: {}\nhint: {}", self.sentence, self.hint)
    }
}
