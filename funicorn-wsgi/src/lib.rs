//! The WSGI adapter.
