//! What does a request cost without a network? A connection whose two ends are byte vectors: requests pass through the same
//! session, service and encoder as in the server, and nothing waits.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use funicorn_http::{
    AbortReason, Address, Body, BodyLength, ConnectionInfo, Event, FileRange, HttpDate, Limits, Refusal,
    Request, RequestHead, ResponseEncoder, ResponseHead, ResponseSink, ResponseWriter, SendError, Service,
    Session,
};

/// A connection on which requests follow one another.
#[derive(Debug)]
pub struct Connection {
    session: Session,
    info: Arc<ConnectionInfo>,
    output: Arc<Mutex<Vec<u8>>>,
    date: HttpDate,
}

impl Default for Connection {
    fn default() -> Self {
        let address = |port| Address::Tcp(([127, 0, 0, 1], port).into());
        Self {
            session: Session::new(Arc::new(Limits::default())),
            info: Arc::new(ConnectionInfo::new(address(40_000), address(8_000))),
            output: Arc::default(),
            date: date(),
        }
    }
}

impl Connection {
    /// Receives `wire`, which is one request, and has `service` answer it. Returns how long the answer was.
    ///
    /// # Errors
    /// The refusal of a request that is none.
    pub fn exchange(&mut self, wire: &[u8], service: &dyn Service) -> Result<usize, Refusal> {
        let request = self.receive(wire)?;
        service.call(request.0, request.1);
        self.session.next_request();
        let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        let len = output.len();
        output.clear();
        Ok(len)
    }

    fn receive(&mut self, wire: &[u8]) -> Result<(Request, ResponseWriter), Refusal> {
        let (head, body) = feed(&mut self.session, wire)?;
        let response = self.response(&head);
        Ok((Request::new(head, body, Arc::clone(&self.info)), response))
    }

    /// A complete request that did not come off a wire, and the writer of its response.
    #[must_use]
    pub fn request(&self, head: RequestHead) -> (Request, ResponseWriter) {
        let response = self.response(&head);
        (Request::new(head, Body::empty(), Arc::clone(&self.info)), response)
    }

    fn response(&self, head: &RequestHead) -> ResponseWriter {
        let encoder = ResponseEncoder::new(head);
        ResponseWriter::new(Box::new(Sink {
            encoder,
            head: None,
            output: Arc::clone(&self.output),
            date: self.date,
        }))
    }
}

/// Feeds the bytes of one request to `session`, and gives what comes out.
///
/// # Errors
/// The refusal of a request that is none, or not whole.
pub fn feed(session: &mut Session, wire: &[u8]) -> Result<(RequestHead, Body), Refusal> {
    let mut input = wire;
    let (mut head, mut body) = (None, BytesMut::new());
    loop {
        match session.receive(&mut input)? {
            Event::Incomplete => return Err(Refusal::Timeout),
            Event::Head(received) => {
                body.reserve(received.length.map_or(0, |len| len as usize));
                head = Some(received.head);
            }
            Event::Data(bytes) => body.extend_from_slice(bytes),
            Event::End => break,
        }
    }
    Ok((head.ok_or(Refusal::Timeout)?, body.freeze().into()))
}

/// Some date.
#[must_use]
pub fn date() -> HttpDate {
    HttpDate::new(SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777))
}

/// The far side of a response writer: encodes into a vector.
struct Sink {
    encoder: ResponseEncoder,
    /// The head, until the first block.
    head: Option<(ResponseHead, BodyLength)>,
    output: Arc<Mutex<Vec<u8>>>,
    date: HttpDate,
}

impl ResponseSink for Sink {
    fn start(&mut self, head: ResponseHead, length: BodyLength) -> Result<(), SendError> {
        self.head = Some((head, length));
        Ok(())
    }

    fn send(&mut self, block: &[u8], _rest: &mut dyn FnMut(usize) -> Bytes) -> Result<(), SendError> {
        let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((head, length)) = self.head.take() {
            self.encoder.head(&head, length, &self.date, b"funicorn", &mut output);
        }
        let frame = self.encoder.block(block.len() as u64);
        output.extend_from_slice(frame.prefix());
        output.extend_from_slice(&block[..frame.take as usize]);
        output.extend_from_slice(frame.suffix);
        Ok(())
    }

    fn send_file(&mut self, _range: FileRange) -> Result<(), SendError> {
        Err(SendError::Gone)
    }

    fn room(&self) -> Option<u64> {
        self.encoder.room()
    }

    fn finish(mut self: Box<Self>) -> Result<(), SendError> {
        let (end, _after) = self.encoder.finish()?;
        self.output.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(end);
        Ok(())
    }

    fn abort(self: Box<Self>, _reason: AbortReason) {}
}
