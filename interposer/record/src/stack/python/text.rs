//! Python strings, copied into the arena as UTF-8.

use core::ptr;
use wire::arena::{Arena, Span};

use super::versions::{LENGTH, Layout, STATE};

/// Bytes copied at most.
const LONGEST: usize = 1024;

/// Copies the string object at `object`; `None` if the arena is full.
pub fn copy(object: usize, layout: &Layout, arena: &Arena<'_>) -> Option<Span> {
    let at = |offset: usize| ptr::with_exposed_provenance::<u8>(object.wrapping_add(offset));
    // SAFETY: the caller's object is a string, whose length is there.
    let length = unsafe { at(LENGTH).cast::<usize>().read() };
    // SAFETY: the same for the state.
    let state = unsafe { at(STATE).cast::<u32>().read() };
    let (width, compact, ascii) = (state >> 2 & 7, state >> 5 & 1 == 1, state >> 6 & 1 == 1);
    if !compact {
        return arena.append(b"");
    }
    let text = at(if ascii { layout.ascii } else { layout.compact });
    // No character takes less than a byte of the copy, so more are not needed.
    let length = length.min(LONGEST);
    let mut copy = [0; LONGEST];
    let mut filled = 0_usize;
    for index in 0..length {
        // SAFETY: the string has more than `index` characters, each `width` bytes wide.
        let character = unsafe { character(text, width, index) };
        let mut bytes = [0; 4];
        let bytes = character.encode_utf8(&mut bytes).as_bytes();
        let end = filled.saturating_add(bytes.len());
        let Some(place) = copy.get_mut(filled..end) else { break };
        place.copy_from_slice(bytes);
        filled = end;
    }
    arena.append(copy.get(..filled)?)
}

/// The character at `index`.
///
/// # Safety
/// `text` points to more than `index` characters of `width` bytes.
unsafe fn character(text: *const u8, width: u32, index: usize) -> char {
    let code = match width {
        // SAFETY: by the caller's promise.
        1 => u32::from(unsafe { text.wrapping_add(index).read() }),
        // SAFETY: by the caller's promise.
        2 => u32::from(unsafe { text.cast::<u16>().wrapping_add(index).read() }),
        // SAFETY: by the caller's promise.
        4 => unsafe { text.cast::<u32>().wrapping_add(index).read() },
        _ => u32::from('?'),
    };
    char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
}
