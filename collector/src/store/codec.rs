//! How rows of side tables become bytes. The only place that knows `bincode`.
//!
//! ```text
//! length u32 | check u64 | row, `length` bytes          (little-endian)
//! ```

use std::io::{self, Read, Write};

use bincode::config::{Configuration, standard};
use serde::{Serialize, de::DeserializeOwned};
use wire::mix;

/// Longest row that is written or read, bytes. A live set of a full table has some 5 MiB.
const MOST: usize = 1 << 26;
const HEADER: usize = 12;
const CONFIG: Configuration = standard();

/// Appends one row to `out`.
///
/// # Errors
/// Writing failed, or the row is longer than a reader would accept.
pub fn write<T: Serialize>(out: &mut impl Write, row: &T) -> io::Result<()> {
    let body = bincode::serde::encode_to_vec(row, CONFIG).map_err(io::Error::other)?;
    if body.len() > MOST {
        return Err(io::Error::other("a row of a table is too long"));
    }
    let mut bytes = Vec::with_capacity(HEADER + body.len());
    bytes.extend((body.len() as u32).to_le_bytes());
    bytes.extend(check(&body).to_le_bytes());
    bytes.extend(body);
    // In one piece, so that a reader never meets a header without its row for long.
    out.write_all(&bytes)
}

/// Reads the next row; `None` at the end of the file and at the first row that is not whole.
pub fn read<T: DeserializeOwned>(from: &mut impl Read) -> Option<T> {
    let mut header = [0; HEADER];
    from.read_exact(&mut header).ok()?;
    let (length, sum) = header.split_first_chunk::<4>()?;
    let length = u32::from_le_bytes(*length) as usize;
    if length > MOST {
        return None;
    }
    // Grows with what is there, not with what the length promises.
    let mut body = Vec::new();
    from.take(length as u64).read_to_end(&mut body).ok()?;
    if body.len() != length || check(&body).to_le_bytes() != *sum {
        return None;
    }
    bincode::serde::decode_from_slice(&body, CONFIG).ok().map(|(row, _)| row)
}

fn check(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let words = words.iter().chain(std::iter::once(&last));
    words.fold(bytes.len() as u64, |sum, word| mix(sum ^ u64::from_le_bytes(*word)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(mut bytes: &[u8]) -> Vec<(u32, String)> {
        std::iter::from_fn(|| read(&mut bytes)).collect()
    }

    fn three() -> (Vec<(u32, String)>, Vec<u8>) {
        let rows: Vec<(u32, String)> = (1..4).map(|n| (n, "x".repeat(n as usize * 7))).collect();
        let mut bytes = Vec::new();
        for row in &rows {
            write(&mut bytes, row).unwrap();
        }
        (rows, bytes)
    }

    #[test]
    fn rows_come_back_and_a_cut_one_ends_the_table() {
        let (written, bytes) = three();
        assert_eq!(rows(&bytes), written);
        let mut whole = Vec::new();
        for cut in 0..=bytes.len() {
            let back = rows(&bytes[..cut]);
            assert_eq!(back, written[..back.len()]);
            whole.push(back.len());
        }
        assert_eq!(whole.iter().max(), Some(&3));
        assert!(whole.is_sorted());
    }

    #[test]
    fn a_changed_byte_is_noticed() {
        let (written, bytes) = three();
        for at in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[at] ^= 4;
            let back = rows(&bytes);
            assert!(back.len() < 3 && back == written[..back.len()], "byte {at}");
        }
    }

    #[test]
    fn a_length_from_nowhere_costs_nothing() {
        let mut bytes = vec![0xff, 0xff, 0xff, 0x03];
        bytes.extend([0; 50]);
        assert!(rows(&bytes).is_empty());
    }
}
