//! What is a native string? A `str` whose every character stands for one byte (PEP 3333, "A Note on String
//! Types").
//!
//! HTTP is made of bytes and PEP 3333 of `str`; the bridge is Latin-1, in both directions and without loss.
#![allow(
    unsafe_code,
    reason = "decoding Latin-1 has no safe binding; the detour over UTF-8 costs half as much again"
)]

use std::borrow::Cow;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyString;

/// The native string of `bytes`.
///
/// # Errors
/// `MemoryError`.
pub(crate) fn to_native<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyString>> {
    // SAFETY: the thread is attached; the bytes are valid for the call, which copies them; slices are never
    // longer than isize::MAX; the result is a new reference to an exact str, or null with an exception set.
    unsafe {
        let text = ffi::PyUnicode_DecodeLatin1(bytes.as_ptr().cast(), bytes.len() as isize, std::ptr::null());
        Ok(Bound::from_owned_ptr_or_err(py, text)?.cast_into_unchecked())
    }
}

/// The bytes of a native string; `None` if it holds a character past U+00FF, which stands for no byte.
pub(crate) fn from_native<'a>(text: &'a Bound<'_, PyString>) -> Option<Cow<'a, [u8]>> {
    // A lone surrogate, the only thing that UTF-8 cannot say, lies past U+00FF.
    let text = text.to_str().ok()?;
    if text.is_ascii() {
        return Some(Cow::Borrowed(text.as_bytes()));
    }
    text.chars().map(|character| u8::try_from(character).ok()).collect::<Option<Vec<u8>>>().map(Cow::Owned)
}
