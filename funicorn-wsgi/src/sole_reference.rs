//! Is an object known to nobody else, so that it can be used again?
#![allow(
    unsafe_code,
    reason = "counts of references have no safe binding; weakref.getweakrefcount() would cost more than a new object"
)]

use pyo3::ffi;
use pyo3::prelude::*;

/// Whether `object` is the only reference to what it refers to, weak ones included.
pub(crate) fn is_sole(object: &Bound<'_, PyAny>) -> bool {
    references(object) == 1 && !may_be_weakly_known(object)
}

/// How many references there are to what `object` refers to, itself included and weak ones not.
pub(crate) fn references(object: &Bound<'_, PyAny>) -> isize {
    // SAFETY: the thread is attached, and the object is alive as long as a reference is.
    unsafe { ffi::Py_REFCNT(object.as_ptr()) }
}

/// Whether there is a weak reference to `object`, or that cannot be told.
fn may_be_weakly_known(object: &Bound<'_, PyAny>) -> bool {
    // SAFETY: the thread is attached; an object and its type are alive as long as a reference is. Where the
    // offset is positive, CPython keeps the head of the list of weak references at this distance from the
    // object's start, a pointer that is null without any.
    unsafe {
        let offset = (*ffi::Py_TYPE(object.as_ptr())).tp_weaklistoffset;
        offset <= 0 || !object.as_ptr().byte_offset(offset).cast::<*mut ffi::PyObject>().read().is_null()
    }
}
