//! Python frames of the calling thread, read without the interpreter's lock.
//!
//! The thread that makes an event runs underneath the frames it reads: nobody pops them, and they
//! keep their code objects alive. So all reads are of stable memory, whether this thread holds the
//! lock or gave it up around its call. What has to be right is the layout: a table per version, a
//! comparison with the interpreter's own answer at the start, and a look at the type of every code
//! object on every walk, so that a wrong guess ends in "no frames" and not in wrong ones.

mod check;
mod find;
mod fingerprint;
mod read;
mod text;
mod versions;
mod walk;

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use wire::header::PythonState;

use crate::once::Once;
use find::Interpreter;
pub use walk::{DEPTH, Frame, NO_FRAMES, Walker};

/// The interpreter of this process.
pub struct Python<'a> {
    interpreter: Once<Interpreter>,
    version: &'a AtomicU64,
    state: &'a AtomicU64,
}

impl<'a> Python<'a> {
    /// None so far; what is found goes into the two words of the header.
    pub const fn new(version: &'a AtomicU64, state: &'a AtomicU64) -> Self {
        Self { interpreter: Once::new(), version, state }
    }

    fn set(&self, state: PythonState) {
        self.state.store(state as u64, Relaxed);
    }

    /// Looks for an interpreter, if there was none before.
    pub fn look(&self) {
        if !self.interpreter.claim() {
            return;
        }
        let Some(found) = find::find() else {
            self.interpreter.release();
            return;
        };
        self.version.store(u64::from(found.version), Relaxed);
        match found.interpreter {
            // The claim is kept, so nobody looks again.
            None => self.set(PythonState::UnknownVersion),
            Some(interpreter) if !check::agrees(&interpreter, &found.image) => {
                self.set(PythonState::CheckFailed);
            }
            Some(interpreter) => {
                // SAFETY: claimed above, and used once.
                unsafe { self.interpreter.fill(interpreter) };
                self.set(PythonState::On);
            }
        }
    }

    /// Reads no more frames.
    pub fn give_up(&self) {
        self.set(PythonState::CheckFailed);
    }

    /// A walker of the calling thread's frames; `None` if it has none, or they are not read.
    pub fn walker(&self) -> Option<Walker<'_>> {
        let interpreter = self.interpreter.get()?;
        if self.state.load(Relaxed) != PythonState::On as u64 {
            return None;
        }
        Walker::new(interpreter)
    }
}
