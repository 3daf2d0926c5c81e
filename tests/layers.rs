//! Do the dependency edges between the layers hold?
#![allow(missing_docs, reason = "test")]
