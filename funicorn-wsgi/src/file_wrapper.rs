//! How can an application send a file without reading it? `wsgi.file_wrapper` (PEP 3333, "Optional
//! Platform-Specific File Handling").
//!
//! A wrapper that comes back as the result of the application is sent by the kernel, if that is certain to
//! send the same bytes that `read()` would give: the file-like object must be exactly what `open(path,
//! "rb")` returns, over a regular file. A subclass, or a reader over something else, may well have a
//! descriptor and mean something else by it: that of a `GzipFile` holds the compressed bytes. Anything else
//! is read block by block, and so is a wrapper that middleware iterates over.
#![allow(unsafe_code, reason = "a descriptor that Python owns is borrowed for the moment of its duplication")]

use std::fs::File;
use std::os::fd::{BorrowedFd, RawFd};

use funicorn_http::FileRange;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyString;

/// Bytes per `read()`, unless the application says otherwise.
const BLOCK_SIZE: isize = 64 * 1024;

/// `wsgi.file_wrapper`, and what it makes.
#[pyclass(frozen, module = "funicorn")]
pub(crate) struct FileWrapper {
    filelike: Py<PyAny>,
    block_size: isize,
}

#[pymethods]
impl FileWrapper {
    #[new]
    #[pyo3(signature = (filelike, block_size=None, /))]
    fn new(filelike: Py<PyAny>, block_size: Option<isize>) -> Self {
        Self { filelike, block_size: block_size.filter(|&size| size > 0).unwrap_or(BLOCK_SIZE) }
    }

    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let block = self.filelike.bind(py).call_method1(intern!(py, "read"), (self.block_size,))?;
        Ok(block.is_truthy()?.then_some(block))
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        match self.filelike.bind(py).getattr_opt(intern!(py, "close"))? {
            Some(close) => close.call0().map(drop),
            None => Ok(()),
        }
    }
}

impl FileWrapper {
    /// The rest of the file from where it stands, if the kernel may send it.
    ///
    /// # Errors
    /// Whatever the file raises, for instance because it is closed.
    pub(crate) fn range(&self, py: Python<'_>) -> PyResult<Option<FileRange>> {
        let filelike = self.filelike.bind(py);
        if !is_plain_file(filelike)? || !filelike.call_method0(intern!(py, "readable"))?.is_truthy()? {
            return Ok(None);
        }
        // What a BufferedRandom holds back must be in the file before the kernel reads it.
        filelike.call_method0(intern!(py, "flush"))?;
        let descriptor: RawFd = filelike.call_method0(intern!(py, "fileno"))?.extract()?;
        let Some(file) = duplicate(descriptor)? else { return Ok(None) };
        let metadata = file.metadata()?;
        // Files of the kernel's (/proc) say that they are empty, and are not.
        if !metadata.is_file() || metadata.len() == 0 {
            return Ok(None);
        }
        // A buffered file's descriptor stands where the buffer ends; `tell` says where the reader stands.
        let offset: u64 = filelike.call_method0(intern!(py, "tell"))?.extract()?;
        Ok(Some(FileRange { file, offset, len: metadata.len().saturating_sub(offset) }))
    }
}

/// Whether `filelike` is exactly an `io.FileIO`, or a buffered reader over one.
fn is_plain_file(filelike: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = filelike.py();
    let io = py.import(intern!(py, "io"))?;
    let is = |object: &Bound<'_, PyAny>, name: &Bound<'_, PyString>| -> PyResult<bool> {
        Ok(object.get_type().is(&io.getattr(name)?))
    };
    let file_io = intern!(py, "FileIO");
    if is(filelike, file_io)? {
        return Ok(true);
    }
    let is_buffered =
        is(filelike, intern!(py, "BufferedReader"))? || is(filelike, intern!(py, "BufferedRandom"))?;
    Ok(is_buffered && is(&filelike.getattr(intern!(py, "raw"))?, file_io)?)
}

/// A descriptor of our own for the file behind `descriptor`; `None` if that is not a descriptor.
fn duplicate(descriptor: RawFd) -> std::io::Result<Option<File>> {
    if descriptor < 0 {
        return Ok(None);
    }
    // SAFETY: not -1; Python has just named it as the descriptor of an open file, which stays open while we
    // hold the interpreter. If the application had closed it behind Python's back, duplicating it would
    // fail or copy the wrong file, no more.
    let borrowed = unsafe { BorrowedFd::borrow_raw(descriptor) };
    Ok(Some(File::from(borrowed.try_clone_to_owned()?)))
}
