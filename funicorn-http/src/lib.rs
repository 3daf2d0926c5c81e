//! HTTP/1.1 as values: what a request and a response *are*, and how they look on the wire.
//!
//! This crate is the ground that the other layers stand on. It opens no socket, reads no clock, starts no
//! thread and knows no Python: bytes come in as slices and leave in buffers. Read it noun by noun:
//!
//! 1. [`Request`]: a [`RequestHead`] (method, [target](RequestHead::target), [`Headers`]), a complete [`Body`]
//!    and what is known about the [connection](ConnectionInfo) it came over.
//! 2. [`Service`]: the trait that every application implements. It is handed the request and an owned
//!    [`ResponseWriter`] into which it *pushes* the response.
//! 3. [`ResponseHead`]: a status and header lines in the order and spelling in which they will leave.
//! 4. [`Limits`]: every number that bounds what a peer may send.
//! 5. [`Refusal`]: why a request is turned away, and with which status.
#![forbid(unsafe_code)]

mod body;
mod connection_info;
mod date;
mod headers;
mod limits;
mod refusal;
mod request;
mod response;
mod service;
mod writer;

pub use body::{Body, ReadBody};
pub use connection_info::{Address, ConnectionInfo, Scheme};
pub use date::HttpDate;
pub use headers::{Headers, HeadersIter};
pub use limits::Limits;
pub use refusal::Refusal;
pub use request::{Request, RequestHead, RequestHeadBuilder, TargetForm, Version};
pub use response::{BodyLength, HeaderError, ResponseHead};
pub use service::Service;
pub use writer::{AbortReason, FileRange, ResponseSink, ResponseWriter, SendError};
