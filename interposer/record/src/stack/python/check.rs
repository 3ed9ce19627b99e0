//! The comparison with the interpreter's own answer, once, before the first frame is believed.
//!
//! Runs inside the first `cuInit`, and only if the thread holds the interpreter's lock there (it
//! does when PyTorch initialises CUDA). Elsewhere the check is left to the walk itself, which looks
//! at the type of every code object. Asking the interpreter makes frame objects, so its collector
//! is held off meanwhile: it would run other people's code.

use super::{
    find::{Image, Interpreter},
    walk::{DEPTH, Frame, Walker},
};

/// Frames compared.
const COMPARED: usize = 32;

/// Whether the walk finds the frames that the interpreter finds, as far as it can be asked.
pub fn agrees(interpreter: &Interpreter, image: &Option<Image>) -> bool {
    let Some(image) = image else { return true };
    // The running state is that of the lock's holder before 3.12, and this thread's, if it holds
    // the lock, from then on. (`PyGILState_Check` says yes to everybody once there was a second
    // interpreter in the process.)
    if interpreter.thread_state() != Some((image.running)()) {
        return true;
    }
    let Some(walker) = Walker::new(interpreter) else { return true };
    if walker.fingerprint().is_none() {
        return false;
    }
    let mut frames = [Frame::default(); DEPTH];
    let (depth, _) = walker.collect(&mut frames);
    let frames = frames.get(..depth).unwrap_or_default();
    let was_on = (image.gc_disable)();
    let same = compare(frames, image);
    if was_on != 0 {
        (image.gc_enable)();
    }
    same
}

fn compare(frames: &[Frame], image: &Image) -> bool {
    // Borrowed, unlike those that follow.
    let mut frame = (image.frame)();
    let mut owned = false;
    let mut same = true;
    for ours in frames.iter().take(COMPARED) {
        if frame == 0 {
            same = false;
            break;
        }
        let code = (image.frame_code)(frame);
        same &= code as u64 == ours.code;
        (image.release)(code);
        let outer = (image.frame_back)(frame);
        if owned {
            (image.release)(frame);
        }
        frame = outer;
        owned = true;
    }
    if frame != 0 {
        same &= frames.len() >= COMPARED;
        if owned {
            (image.release)(frame);
        }
    }
    same
}
