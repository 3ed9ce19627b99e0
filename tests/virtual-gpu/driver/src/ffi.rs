//! What C hands in and takes out, so that behaviours need no `unsafe`.
//!
//! A null pointer is `CUDA_ERROR_INVALID_VALUE`, as with the real driver. Any other pointer is
//! taken at its word: that it points to room of its type is the C caller's promise.

use std::ffi::{CStr, c_char};

use crate::error::{Code, Outcome};

/// Room for a result.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct Out<T>(*mut T);

impl<T> Out<T> {
    /// The caller gave no room.
    pub fn is_null(&self) -> bool {
        self.0.is_null()
    }

    /// Stores a result.
    pub fn set(self, value: T) -> Outcome {
        if self.0.is_null() {
            return Err(Code::INVALID_VALUE);
        }
        // SAFETY: not null, and room for a `T` by the caller's promise. Unaligned, because packed
        // structures of Python bindings were seen to be.
        unsafe { self.0.write_unaligned(value) };
        Ok(())
    }

    /// Stores a result where the caller wants it.
    pub fn set_if_given(self, value: T) {
        let _ = self.set(value);
    }

    /// Stores the first results of a list, as many as there is room for.
    pub fn set_list(self, room: usize, values: impl IntoIterator<Item = T>) -> Outcome {
        for (index, value) in values.into_iter().take(room).enumerate() {
            Out(self.0.wrapping_add(index)).set(value)?;
        }
        Ok(())
    }

    /// Part of the room, `offset` bytes into it.
    pub fn inside<U>(self, offset: usize) -> Out<U> {
        Out(self.0.wrapping_byte_add(offset).cast())
    }

    /// The same room under another type, for functions whose result depends on an argument.
    pub fn cast<U>(self) -> Out<U> {
        Out(self.0.cast())
    }
}

impl<T: Copy> Out<T> {
    /// Reads what stands there, for arguments that go both ways.
    pub fn get(self) -> Outcome<T> {
        In(self.0.cast_const()).get()
    }
}

/// An argument passed by address.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct In<T>(*const T);

impl<T: Copy> In<T> {
    /// Copies it.
    pub fn get(self) -> Outcome<T> {
        if self.0.is_null() {
            return Err(Code::INVALID_VALUE);
        }
        // SAFETY: not null, and a `T` by the caller's promise.
        Ok(unsafe { self.0.read_unaligned() })
    }

    /// Copies a list of `count`.
    pub fn list(self, count: usize) -> Outcome<Vec<T>> {
        (0..count).map(|index| In(self.0.wrapping_add(index)).get()).collect()
    }

    /// The same bytes under another type.
    pub fn cast<U>(self) -> In<U> {
        In(self.0.cast())
    }
}

/// A C string.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct Text(*const c_char);

impl Text {
    /// Copies it.
    pub fn get(self) -> Outcome<String> {
        if self.0.is_null() {
            return Err(Code::INVALID_VALUE);
        }
        // SAFETY: not null, and ends with a zero byte by the caller's promise.
        Ok(unsafe { CStr::from_ptr(self.0) }.to_string_lossy().into_owned())
    }
}

/// Stores a text and its zero byte in a buffer of `length`, cut where it is too short.
pub fn put_text(buffer: Out<u8>, length: i32, text: &str) -> Outcome {
    let room = usize::try_from(length).map_err(|_| Code::INVALID_VALUE)?;
    let kept = text.len().min(room.checked_sub(1).ok_or(Code::INVALID_VALUE)?);
    buffer.set_list(room, text.bytes().take(kept).chain([0]))
}
