//! How much room a process's file may take: the rule that the recorder goes by, and that the
//! collector tells of.

use crate::{header::Reason, layout::PROFILES};

/// A file takes at most one part in so many of what is free.
pub const SHARE: u64 = 4;
/// With more bytes than this in rings already, a process takes the small profile.
pub const MANY: u64 = 1 << 30;
/// With more than this, none.
pub const TOO_MANY: u64 = 2 << 30;

/// Number of the largest profile there is room for. In bytes: what is free on the file system, what
/// the control group leaves (`u64::MAX` without a limit), and the rings that are there already.
///
/// # Errors
/// Why there is room for none.
pub fn profile(file_system: u64, control_group: u64, rings: u64) -> Result<usize, Reason> {
    if rings > TOO_MANY {
        return Err(Reason::TooManyRings);
    }
    let first = usize::from(rings > MANY);
    let fits = |free: u64| {
        PROFILES
            .iter()
            .enumerate()
            .skip(first)
            .find(|(_, layout)| layout.bytes() as u64 <= free / SHARE)
            .map(|(number, _)| number)
    };
    let by_file_system = fits(file_system).ok_or(Reason::NoRoom)?;
    let by_control_group = fits(control_group).ok_or(Reason::NoMemory)?;
    Ok(by_file_system.max(by_control_group))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{FULL, SMALL};

    #[test]
    fn a_quarter_of_what_is_free_decides() {
        let (full, small) = (FULL.bytes() as u64 * SHARE, SMALL.bytes() as u64 * SHARE);
        assert_eq!(profile(full, u64::MAX, 0), Ok(0));
        assert_eq!(profile(full - 1, u64::MAX, 0), Ok(1));
        assert_eq!(profile(small - 1, u64::MAX, 0), Err(Reason::NoRoom));
        assert_eq!(profile(u64::MAX, full - 1, 0), Ok(1));
        assert_eq!(profile(u64::MAX, small - 1, 0), Err(Reason::NoMemory));
    }

    #[test]
    fn rings_already_there_count() {
        assert_eq!(profile(u64::MAX, u64::MAX, MANY), Ok(0));
        assert_eq!(profile(u64::MAX, u64::MAX, MANY + 1), Ok(1));
        assert_eq!(profile(u64::MAX, u64::MAX, TOO_MANY + 1), Err(Reason::TooManyRings));
    }
}
