//! The line of a Python instruction, from the line table of its code object.
//!
//! The interpreter would say it too (`PyCode_Addr2Line`), but it may be dead by now. Two formats:
//!
//! ```text
//! 3.10   pairs: length of the range in bytes, signed step of the line (-128: no line)
//! 3.11+  entries: first byte 1 | form 4 | length - 1 in 2-byte units 3, then what the form says
//!        form 0-9  column byte                 11, 12  line step 1, 2; two column bytes
//!        form 10   two column bytes            13      line step (signed varint)
//!        form 15   no line                     14      line step, end line, two columns (varints)
//! ```
//!
//! A line step counts from the line before, starting at the code object's first line.

use crate::ledger::Code;

const VERSION_3_10: u32 = 3 << 8 | 10;
const VERSION_3_11: u32 = 3 << 8 | 11;
/// Bytes of one instruction, the unit of lengths since 3.11.
const UNIT: u32 = 2;

/// The line of the instruction at `offset` bytes; `None` if the interpreter knows none either, if
/// its version is not known here, or if the table is damaged.
#[must_use]
pub fn line(code: &Code, offset: u32) -> Option<u32> {
    let line = match code.python {
        VERSION_3_10 => pairs(code, offset)?,
        VERSION_3_11.. => entries(code, offset)?,
        _ => return None,
    };
    u32::try_from(line).ok().filter(|line| *line > 0)
}

fn pairs(code: &Code, offset: u32) -> Option<i64> {
    let mut line = i64::from(code.first_line);
    let mut end = 0u32;
    for pair in code.lines.chunks_exact(2) {
        let step = pair[1].cast_signed();
        end += u32::from(pair[0]);
        if step != i8::MIN {
            line += i64::from(step);
        }
        if offset < end {
            return (step != i8::MIN).then_some(line);
        }
    }
    None
}

fn entries(code: &Code, offset: u32) -> Option<i64> {
    let mut line = i64::from(code.first_line);
    let mut end = 0u32;
    let mut bytes = code.lines.iter().copied();
    while let Some(first) = bytes.next() {
        let form = first >> 3 & 15;
        end += (u32::from(first & 7) + 1) * UNIT;
        match form {
            0..=9 => skip(&mut bytes, 1)?,
            10..=12 => {
                line += i64::from(form - 10);
                skip(&mut bytes, 2)?;
            }
            13 => line += signed(&mut bytes)?,
            14 => {
                line += signed(&mut bytes)?;
                for _ in 0..3 {
                    unsigned(&mut bytes)?;
                }
            }
            _ => {}
        }
        if offset < end {
            return (form != 15).then_some(line);
        }
    }
    None
}

fn skip(bytes: &mut impl Iterator<Item = u8>, count: usize) -> Option<()> {
    bytes.nth(count - 1).map(drop)
}

/// Six bits a byte, lowest first; bit 6 says that more follow.
fn unsigned(bytes: &mut impl Iterator<Item = u8>) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(6) {
        let byte = bytes.next()?;
        value |= u64::from(byte & 63) << shift;
        if byte & 64 == 0 {
            return Some(value);
        }
    }
    None
}

/// The sign is the lowest bit. More than 32 bits are damage: no file has so many lines.
fn signed(bytes: &mut impl Iterator<Item = u8>) -> Option<i64> {
    let value = unsigned(bytes)?;
    let size = i64::from(u32::try_from(value >> 1).ok()?);
    Some(if value & 1 == 1 { -size } else { size })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(python: u32, first_line: u32, lines: &[u8]) -> Code {
        Code { name: "f".into(), file: "f.py".into(), lines: lines.into(), first_line, python }
    }

    #[test]
    fn each_form_of_3_11_moves_the_line_as_it_says() {
        let table = [
            0x80 | 10 << 3, // one unit, same line
            0,
            0,
            0x80 | 12 << 3 | 1, // two units, two lines on
            0,
            0,
            0x80 | 15 << 3, // no line
            0x80 | 13 << 3, // 40 back: signed varint 81 = 17 + 64, 1
            17 | 64,
            1,
            0x80 | 14 << 3, // 3 on, with end line and columns
            6,
            0,
            1,
            1,
            0x80, // short form
            0,
        ];
        let code = code(VERSION_3_11, 100, &table);
        let lines: Vec<_> = (0..8).map(|unit| line(&code, unit * UNIT)).collect();
        let expected = [100, 102, 102, 0, 62, 65, 65].map(|l| (l != 0).then_some(l));
        assert_eq!(lines[..7], expected);
        assert_eq!(lines[7], None, "past the end");
    }

    #[test]
    fn the_pairs_of_3_10_give_ranges_in_bytes() {
        let code = code(VERSION_3_10, 10, &[4, 1, 2, 0x80, 0, 5, 2, 0xff]);
        let lines: Vec<_> = (0..5).map(|unit| line(&code, unit * UNIT)).collect();
        assert_eq!(lines, [Some(11), Some(11), None, Some(15), None]);
    }

    #[test]
    fn damaged_tables_and_unknown_versions_give_no_line() {
        for table in [&[0x80 | 13 << 3][..], &[0x80 | 13 << 3, 127, 127, 127], &[0x80 | 11 << 3]] {
            assert_eq!(line(&code(VERSION_3_11, 1, table), 0), None);
        }
        assert_eq!(line(&code(3 << 8 | 9, 1, &[2, 0]), 0), None);
    }
}
