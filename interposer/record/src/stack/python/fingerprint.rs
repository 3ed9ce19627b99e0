//! Tells code objects apart that lie, one after the other, at the same address.
//!
//! Since 3.12 a code object carries a number that is never used twice. Before that there are only
//! its parts, and a program that compiles and drops code all the time finds these at the same
//! addresses again too. So there some of their content counts: length and end of the file name,
//! length and beginning of the line table. What is equal in all of that and in name and first line
//! is taken for the same code; it would have to be made at run time under one file name.

use super::{
    read::field,
    versions::{BYTES, LENGTH, Layout, STATE},
};

/// Odd, so that each multiplication keeps all bits; different, so that the order counts.
const FACTORS: [u64; 4] =
    [0x9e37_79b9_7f4a_7c15, 0xc2b2_ae3d_27d4_eb4f, 0xd6e8_feb8_6659_fd93, 0xa076_1d64_78bd_642f];

/// A sum with factors: unlike a chained hash they multiply side by side, and this runs for every
/// frame of every event.
fn sum(words: [u64; 4]) -> u64 {
    words
        .iter()
        .zip(FACTORS)
        .fold(0, |sum: u64, (word, factor)| sum.wrapping_add(word.wrapping_mul(factor)))
}

/// The fingerprint of the code object at `code`.
///
/// # Safety
/// `code` is a code object of this layout that stays alive meanwhile.
pub unsafe fn of(code: usize, layout: &Layout) -> u64 {
    // SAFETY: by the caller's promise, in all reads of this function.
    let name: usize = unsafe { field(code, layout.name) };
    // SAFETY: see above.
    let file: usize = unsafe { field(code, layout.file) };
    // SAFETY: see above.
    let lines: usize = unsafe { field(code, layout.lines) };
    // SAFETY: see above.
    let first_line: u32 = unsafe { field(code, layout.first_line) };
    let last = match layout.version {
        // SAFETY: see above.
        Some(offset) => unsafe { field::<u32>(code, offset) }.into(),
        None => {
            // SAFETY: a code object's file name is a string.
            let end = unsafe { end_of(file, layout) };
            // SAFETY: a code object's line table is a `bytes` object.
            end ^ unsafe { beginning_of(lines) }
        }
    };
    sum([name as u64, file as u64 ^ u64::from(first_line) << 48, lines as u64, last])
}

/// Length and last 16 bytes of a string.
///
/// # Safety
/// `object` is a string of this layout.
unsafe fn end_of(object: usize, layout: &Layout) -> u64 {
    // SAFETY: by the caller's promise, in all reads of this function.
    let length: usize = unsafe { field(object, LENGTH) };
    // SAFETY: see above.
    let state: u32 = unsafe { field(object, STATE) };
    let text = if state >> 6 & 1 == 1 { layout.ascii } else { layout.compact };
    let bytes = length.saturating_mul(state as usize >> 2 & 7);
    // Short ones overlap.
    let (early, late) = (bytes.saturating_sub(16), bytes.saturating_sub(8));
    // SAFETY: an object takes a multiple of 16 bytes, so eight are there.
    let first: u64 = unsafe { field(object, text.saturating_add(early)) };
    // SAFETY: see above.
    let second: u64 = unsafe { field(object, text.saturating_add(late)) };
    sum([keep(first, bytes), keep(second, bytes), 0, length as u64])
}

/// Length and first 8 bytes of a `bytes` object.
///
/// # Safety
/// `object` is a `bytes` object.
unsafe fn beginning_of(object: usize) -> u64 {
    // SAFETY: by the caller's promise.
    let length: usize = unsafe { field(object, LENGTH) };
    // SAFETY: an object takes a multiple of 16 bytes, so eight are there.
    let word: u64 = unsafe { field(object, BYTES) };
    sum([0, 0, keep(word, length), length as u64]).rotate_left(32)
}

/// The first `bytes` bytes of a word.
const fn keep(word: u64, bytes: usize) -> u64 {
    match bytes {
        0 => 0,
        1..8 => word & u64::MAX >> (64_usize.saturating_sub(bytes.saturating_mul(8))),
        _ => word,
    }
}
