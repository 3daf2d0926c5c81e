//! What is a native string? A `str` whose every character stands for one byte (PEP 3333, "A Note on String
//! Types").
//!
//! HTTP is made of bytes and PEP 3333 of `str`; the bridge is Latin-1, in both directions and without loss.
//! CPython keeps such a `str` as exactly these bytes, so both directions are a copy or a look. Instructions
//! for a value of 100 bytes on 3.11: 150 to make it by looking for a high bit and copying, 400 through
//! `PyUnicode_DecodeLatin1`, more by way of UTF-8; for a name of 12 bytes, 20 to look at it in place and 80
//! through `PyUnicode_AsUTF8AndSize`.
#![allow(
    unsafe_code,
    reason = "Latin-1 has no safe binding; the detour over UTF-8 costs several times as much"
)]

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyString;
use pyo3::types::string::PyStringData;

/// The native string of `bytes`.
///
/// # Errors
/// `MemoryError`.
pub(crate) fn to_native<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyString>> {
    // Slices are never longer than isize::MAX.
    let len = bytes.len() as isize;
    if !bytes.is_ascii() {
        // SAFETY: the thread is attached; the bytes are valid for the call, which copies them; the result is
        // a new reference to an exact str, or null with an exception set.
        unsafe {
            let text = ffi::PyUnicode_DecodeLatin1(bytes.as_ptr().cast(), len, std::ptr::null());
            return Ok(Bound::from_owned_ptr_or_err(py, text)?.cast_into_unchecked());
        }
    }
    // SAFETY: the thread is attached; the result of PyUnicode_New is a new reference to an exact str, or null
    // with an exception set. For 127 it is an ASCII string with room for `len` bytes, which are to be filled
    // before anybody sees it; the shared empty one has room for none, and none are written.
    unsafe {
        let text = Bound::from_owned_ptr_or_err(py, ffi::PyUnicode_New(len, 127))?;
        let room = ffi::PyUnicode_1BYTE_DATA(text.as_ptr());
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), room, bytes.len());
        Ok(text.cast_into_unchecked())
    }
}

/// The bytes of a native string; `None` if it holds a character past U+00FF, which stands for no byte.
pub(crate) fn from_native<'a>(text: &'a Bound<'_, PyString>) -> Option<&'a [u8]> {
    // SAFETY: it relies on the layout of CPython's bit fields, which the tests of this crate check on every
    // version that is supported. A str never changes.
    match unsafe { text.data() } {
        Ok(PyStringData::Ucs1(bytes)) => Some(bytes),
        // Wider characters are used for strings that need them only.
        Ok(PyStringData::Ucs2(_) | PyStringData::Ucs4(_)) | Err(_) => None,
    }
}

/// `number` in decimal: without the formatting machinery, which costs four times as much.
///
/// # Errors
/// `MemoryError`.
pub(crate) fn decimal(py: Python<'_>, mut number: u64) -> PyResult<Bound<'_, PyString>> {
    let mut digits = [b'0'; 20];
    let mut start = digits.len() - 1;
    digits[start] += (number % 10) as u8;
    while number >= 10 {
        number /= 10;
        start -= 1;
        digits[start] += (number % 10) as u8;
    }
    to_native(py, &digits[start..])
}
