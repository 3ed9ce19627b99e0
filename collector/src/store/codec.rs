//! How rows of side tables become bytes. The only place that knows `bincode`.
//!
//! ```text
//! length u32 | check u64 | row, `length` bytes          (little-endian)
//! ```

use std::io::{self, ErrorKind, Read, Write};

use bincode::{
    config::{Configuration, standard},
    error::DecodeError,
};
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

/// What stands where a row should begin is none, or cannot be read.
#[derive(Debug)]
pub struct Damaged;

/// Reads the next row; `None` at the end of the file, which is also where the file ends before the
/// row does: so a killed writer leaves it.
pub fn read<T: DeserializeOwned>(from: &mut impl Read) -> Result<Option<T>, Damaged> {
    let mut header = [0; HEADER];
    match from.read_exact(&mut header) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        read => read.map_err(|_| Damaged)?,
    }
    let (length, sum) = header.split_first_chunk::<4>().ok_or(Damaged)?;
    let length = u32::from_le_bytes(*length) as usize;
    if length > MOST {
        return Err(Damaged);
    }
    // Grows with what is there, not with what the length promises.
    let mut body = Vec::new();
    from.take(length as u64).read_to_end(&mut body).map_err(|_| Damaged)?;
    if body.len() < length {
        return if is_begin::<T>(&body) { Ok(None) } else { Err(Damaged) };
    }
    if check(&body).to_le_bytes() != *sum {
        return Err(Damaged);
    }
    let (row, _) = bincode::serde::decode_from_slice(&body, CONFIG).map_err(|_| Damaged)?;
    Ok(Some(row))
}

/// Whether this is the begin of a row: it lacks its end and nothing else. A row that lacks nothing
/// had a length that was not its own.
fn is_begin<T: DeserializeOwned>(body: &[u8]) -> bool {
    // Nothing has checked these bytes: a limit on what lengths in them may ask memory for.
    let row = bincode::serde::decode_from_slice::<T, _>(body, CONFIG.with_limit::<MOST>());
    matches!(row, Err(DecodeError::UnexpectedEnd { .. }))
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

    /// The rows, and whether something damaged follows them.
    fn rows(mut bytes: &[u8]) -> (Vec<(u32, String)>, bool) {
        let mut rows = Vec::new();
        loop {
            match read(&mut bytes) {
                Ok(Some(row)) => rows.push(row),
                end => return (rows, end.is_err()),
            }
        }
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
        assert_eq!(rows(&bytes), (written.clone(), false));
        let mut whole = Vec::new();
        for cut in 0..=bytes.len() {
            let (back, damaged) = rows(&bytes[..cut]);
            assert_eq!(back, written[..back.len()]);
            assert!(!damaged, "cut at {cut}");
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
            let (back, damaged) = rows(&bytes);
            assert!(back.len() < 3 && back == written[..back.len()], "byte {at}");
            assert!(damaged, "byte {at}");
        }
    }

    #[test]
    fn a_length_from_nowhere_costs_nothing() {
        let mut bytes = vec![0xff, 0xff, 0xff, 0x03];
        bytes.extend([0; 50]);
        assert!(rows(&bytes).0.is_empty());
    }
}
