//! What is a native string? A `str` whose every character stands for one byte (PEP 3333, "A Note on String Types").
//!
//! HTTP is made of bytes and PEP 3333 of `str`; the bridge is Latin-1, in both directions and without loss.

use std::borrow::Cow;

use pyo3::prelude::*;
use pyo3::types::PyString;

/// The native string of `bytes`.
pub(crate) fn to_native<'py>(py: Python<'py>, bytes: &[u8]) -> Bound<'py, PyString> {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.is_ascii() => PyString::new(py, text),
        _ => PyString::new(py, &bytes.iter().copied().map(char::from).collect::<String>()),
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
