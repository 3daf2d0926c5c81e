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
//! 4. [`Session`]: the receiving half of a connection. Bytes in, [`Event`]s out: a head, pieces of a body, an end.
//! 5. [`ResponseEncoder`]: the sending half of one request. It knows how the body is framed and whether the connection
//!    outlives the response.
//! 6. [`Limits`]: every number that bounds what a peer may send.
//! 7. [`PeerList`], [`ForwardingPolicy`], [`ProxyProtocol`], [`HeaderMap`]: whose word counts about who the client is.
//! 8. [`Refusal`]: why a request is turned away, and with which status; [`encode_refusal`] is the answer.
//!
//! # From bytes to bytes
//!
//! A server is what moves bytes between these and a socket. Here two byte vectors stand in for it:
//!
//! ```
//! use std::sync::Arc;
//! use std::time::SystemTime;
//!
//! use funicorn_http::{
//!     AfterResponse, BodyLength, Event, HttpDate, Limits, RequestHead, ResponseEncoder, ResponseHead, Session,
//! };
//!
//! let received = b"POST /shout HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n";
//! let mut input = &received[..];
//! let mut output = Vec::new();
//!
//! // Receive: head, body, end.
//! let mut session = Session::new(Arc::new(Limits::default()));
//! let (mut head, mut body): (Option<RequestHead>, Vec<u8>) = (None, Vec::new());
//! loop {
//!     match session.receive(&mut input)? {
//!         Event::Head(received) => head = Some(received.head),
//!         Event::Data(bytes) => body.extend_from_slice(bytes),
//!         Event::End => break,
//!         Event::Incomplete => unreachable!("a server would read from its socket here"),
//!     }
//! }
//! let request = head.expect("a head precedes the end");
//! assert_eq!((request.path(), &body[..]), (&b"/shout"[..], &b"hello"[..]));
//!
//! // Respond: head, blocks, end.
//! let answer = body.to_ascii_uppercase();
//! let mut response = ResponseHead::new(200, b"OK")?;
//! response.append(b"Content-Type", b"text/plain")?;
//! let mut encoder = ResponseEncoder::new(&request);
//! let date = HttpDate::new(SystemTime::UNIX_EPOCH);
//! encoder.head(&response, BodyLength::Known(answer.len() as u64), &date, b"example", &mut output);
//! let frame = encoder.block(answer.len() as u64);
//! output.extend_from_slice(frame.prefix());
//! output.extend_from_slice(&answer[..frame.take as usize]);
//! output.extend_from_slice(frame.suffix);
//! let (end, after) = encoder.finish()?;
//! output.extend_from_slice(end);
//!
//! assert_eq!(after, AfterResponse::KeepAlive);
//! assert_eq!(
//!     output.escape_ascii().to_string(),
//!     "HTTP/1.1 200 OK\\r\\nServer: example\\r\\nDate: Thu, 01 Jan 1970 00:00:00 GMT\\r\\n\
//!      Content-Type: text/plain\\r\\nContent-Length: 5\\r\\n\\r\\nHELLO",
//! );
//! session.next_request();
//! assert!(session.is_between_requests());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod authority;
mod block_frame;
mod body;
mod byte_set;
mod chunked;
mod connection_info;
mod date;
mod encoder;
mod forwarded;
mod framing;
mod head;
mod header_map;
mod headers;
mod known_names;
mod limits;
mod lines;
mod peer_list;
mod proxy_protocol;
mod refusal;
mod repetition;
mod request;
mod request_line;
mod response;
mod service;
mod session;
mod target;
mod writer;

pub use block_frame::BlockFrame;
pub use body::{Body, ReadBody};
pub use connection_info::{Address, ConnectionInfo, Proxied, Scheme};
pub use date::HttpDate;
pub use encoder::{AfterResponse, CONTINUE, ResponseEncoder};
pub use forwarded::{ForwardedHeaders, ForwardedHeadersError, ForwardingPolicy};
pub use header_map::HeaderMap;
pub use headers::{Headers, HeadersIter};
pub use limits::Limits;
pub use peer_list::{ParsePeerError, PeerList};
pub use proxy_protocol::{ProxyHeader, ProxyProtocol};
pub use refusal::{Refusal, encode_refusal};
pub use request::{Request, RequestHead, RequestHeadBuilder, TargetForm, Version};
pub use response::{BodyLength, HeaderError, ResponseHead};
pub use service::{Service, StartedThread, ThreadEnd, ThreadLife};
pub use session::{Event, ReceivedHead, Session};
pub use writer::{AbortReason, FileRange, ResponseSink, ResponseWriter, SendError};

/// The README's example is compiled and run with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// So are the chapter's.
#[cfg(doctest)]
#[doc = include_str!("../../docs/book/2-http.md")]
struct Chapter;
