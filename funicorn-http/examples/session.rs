//! The HTTP/1.1 session driven by hand between two byte vectors: no socket, no thread, no clock.
//!
//! `cargo run -p funicorn-http --example session`. Two pipelined requests go in, cut into pieces of seven bytes.

use std::error::Error;
use std::sync::Arc;
use std::time::SystemTime;

use funicorn_http::{
    BodyLength, Event, HttpDate, Limits, RequestHead, ResponseEncoder, ResponseHead, Session,
};

const RECEIVED: &[u8] = b"POST /shout HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
    3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

fn main() -> Result<(), Box<dyn Error>> {
    let mut session = Session::new(Arc::new(Limits::default()));
    let (mut input, mut output) = (Vec::new(), Vec::new());
    let (mut head, mut body) = (None, Vec::new());
    for piece in RECEIVED.chunks(7) {
        input.extend_from_slice(piece);
        let mut unread = &input[..];
        loop {
            match session.receive(&mut unread)? {
                Event::Incomplete => break,
                Event::Head(received) => head = Some(received.head),
                Event::Data(bytes) => body.extend_from_slice(bytes),
                Event::End => {
                    respond(&head.take().ok_or("no head")?, &std::mem::take(&mut body), &mut output)?;
                    session.next_request();
                }
            }
        }
        input = unread.to_vec();
    }
    print!("{}", String::from_utf8(output)?);
    Ok(())
}

fn respond(request: &RequestHead, body: &[u8], output: &mut Vec<u8>) -> Result<(), Box<dyn Error>> {
    let mut encoder = ResponseEncoder::new(request);
    let (head, date) = (ResponseHead::new(200, b"OK")?, HttpDate::new(SystemTime::UNIX_EPOCH));
    encoder.head(&head, BodyLength::Known(body.len() as u64), &date, b"example", output);
    output.extend_from_slice(&body.to_ascii_uppercase());
    encoder.block(body.len() as u64);
    encoder.finish()?;
    Ok(())
}
