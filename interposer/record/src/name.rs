//! Short text in a fixed buffer.

use core::{ffi::CStr, fmt};

/// Up to `N - 1` bytes and a NUL.
pub struct Name<const N: usize> {
    bytes: [u8; N],
    length: usize,
}

impl<const N: usize> Name<N> {
    /// The text of `value`; `None` if it is too long.
    pub fn of(value: &impl fmt::Display) -> Option<Self> {
        let mut name = Self { bytes: [0; N], length: 0 };
        fmt::write(&mut name, format_args!("{value}")).ok()?;
        Some(name)
    }

    /// The text for a system call; empty if a NUL is in it.
    pub fn as_c_str(&self) -> &CStr {
        self.bytes
            .get(..=self.length)
            .and_then(|bytes| CStr::from_bytes_with_nul(bytes).ok())
            .unwrap_or(c"")
    }
}

impl<const N: usize> fmt::Write for Name<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length.checked_add(text.len()).filter(|end| *end < N).ok_or(fmt::Error)?;
        self.bytes.get_mut(self.length..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_does_not_fit_is_refused() {
        assert_eq!(Name::<4>::of(&123).unwrap().as_c_str(), c"123");
        assert!(Name::<4>::of(&1234).is_none());
    }
}
