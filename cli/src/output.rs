//! Printing that survives a reader who has gone away.

use std::io::{self, ErrorKind, IsTerminal, Write};

use crate::failure::Failure;

/// Clears the rest of a terminal's line.
const CLEAR: &str = "\x1b[K";

/// Prints `text` on standard output. A reader that closed the pipe (`| head`) has seen enough.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::new(
            format!("the report could not be written: {error}"),
            "is the disk of the output full?",
        )),
        _ => Ok(()),
    }
}

/// Says `text` on standard error. Where that is closed there is nobody to tell.
pub fn note(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Shows `line` in place of the last one shown so.
pub fn progress(line: &str) {
    note(&format!("\r{CLEAR}{line}"));
}

/// Clears the line that [`progress`] left.
pub fn end_progress() {
    if io::stderr().is_terminal() {
        note(&format!("\r{CLEAR}"));
    }
}
