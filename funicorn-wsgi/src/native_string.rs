//! What is a native string? A `str` whose every character stands for one byte (PEP 3333, "A Note on String
//! Types").
//!
//! HTTP is made of bytes and PEP 3333 of `str`; the bridge is Latin-1, in both directions and without loss.
//! CPython keeps such a `str` as exactly these bytes, so that they can be looked at in place: 31 instructions
//! for the texts of a small response on 3.11, where the way over `PyUnicode_AsUTF8AndSize` costs 84.
#![allow(
    unsafe_code,
    reason = "Latin-1 has no safe binding; the detour over UTF-8 costs more than twice as much"
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
    // SAFETY: the thread is attached; the bytes are valid for the call, which copies them; slices are never
    // longer than isize::MAX; the result is a new reference to an exact str, or null with an exception set.
    unsafe {
        let text = ffi::PyUnicode_DecodeLatin1(bytes.as_ptr().cast(), bytes.len() as isize, std::ptr::null());
        Ok(Bound::from_owned_ptr_or_err(py, text)?.cast_into_unchecked())
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

/// `number` in decimal, without a `String` on the way.
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
