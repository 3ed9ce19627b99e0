//! Identities: what memory is called in every process that shares it.
//!
//! Addresses, handles and descriptors are numbers of one process. What two processes see alike is
//! folded into 64 bits:
//!
//! | way | words |
//! |---|---|
//! | `cuIpcGetMemHandle`, `cuMemPoolExportPointer`, a fabric handle | the 64 bytes that travel |
//! | a file descriptor | `st_dev`, `st_ino` and the position of the open file, if it is a regular one |
//!
//! A descriptor of anything but a regular file has no identity: all files of one device node share
//! device and inode. 0 is no identity.

use crate::mix;

/// Words of the handles that travel as bytes.
pub const HANDLE_WORDS: usize = 8;

/// The identity that these words make; never 0.
#[must_use]
pub const fn identity(words: &[u64]) -> u64 {
    let mut sum = words.len() as u64;
    let mut rest = words;
    while let [word, after @ ..] = rest {
        sum = mix(sum ^ *word);
        rest = after;
    }
    if sum == 0 { 1 } else { sum }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_and_its_place_count() {
        let same = identity(&[1, 2, 3]);
        assert_eq!(identity(&[1, 2, 3]), same);
        for other in [&[1, 2, 4][..], &[2, 1, 3], &[1, 2, 3, 0], &[1, 2], &[0, 0]] {
            assert_ne!(identity(other), same);
            assert_ne!(identity(other), 0);
        }
    }
}
