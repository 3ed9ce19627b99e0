//! Status codes, exported functions, texts.

use std::ffi::c_char;

/// A status that is not success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code(pub i32);

impl Code {
    pub const UNINITIALIZED: Code = Code(1);
    pub const INVALID_ARGUMENT: Code = Code(2);
    pub const NOT_SUPPORTED: Code = Code(3);
    pub const NOT_FOUND: Code = Code(6);
    pub const INSUFFICIENT_SIZE: Code = Code(7);
    pub const DRIVER_NOT_LOADED: Code = Code(9);
    pub const ARGUMENT_VERSION_MISMATCH: Code = Code(25);
}

/// What a behaviour gives: nothing or a value, or the status that the caller gets.
pub type Outcome<T = ()> = Result<T, Code>;

/// Room for a result, or null.
pub type Out<'a, T> = Option<&'a mut T>;

/// Stores a result.
pub fn put<T>(out: Out<'_, T>, value: T) -> Outcome {
    *out.ok_or(Code::INVALID_ARGUMENT)? = value;
    Ok(())
}

/// Stores a text and its zero byte in a buffer of `length`.
pub fn put_text(buffer: *mut c_char, length: u32, text: &str) -> Outcome {
    if buffer.is_null() {
        return Err(Code::INVALID_ARGUMENT);
    }
    if text.len() >= length as usize {
        return Err(Code::INSUFFICIENT_SIZE);
    }
    let bytes = text.bytes().chain([0]);
    for (index, byte) in bytes.enumerate() {
        // SAFETY: the caller's buffer holds `length` bytes, which the text and its zero fit into.
        unsafe { buffer.wrapping_add(index).cast::<u8>().write(byte) };
    }
    Ok(())
}

/// Fills a text field of a structure.
pub fn text_field<const N: usize>(text: &str) -> [u8; N] {
    let mut field = [0; N];
    for (slot, byte) in field.iter_mut().zip(text.bytes().take(N - 1)) {
        *slot = byte;
    }
    field
}

/// Defines exported functions: name, arguments, the behaviour that gives an `Outcome`.
macro_rules! exports {
    ($($name:ident($($arg:ident: $type:ty),* $(,)?) => $body:expr;)*) => {$(
        #[doc = concat!("`", stringify!($name), "` of the real library.")]
        #[unsafe(no_mangle)]
        pub extern "C" fn $name($($arg: $type),*) -> i32 {
            let outcome: $crate::ffi::Outcome = $body;
            outcome.map_or_else(|code| code.0, |()| 0)
        }
    )*};
}

pub(crate) use exports;
