//! The network: what one client sends is in a slice, what it receives in a vector.

use std::error::Error;
use std::sync::{Arc, mpsc::channel};
use std::time::SystemTime;

use bytes::Bytes;
use funicorn_http::{
    Address, BodyLength, ConnectionInfo, Event, HttpDate, Limits, Request, ResponseEncoder, SendError,
    Session,
};
use funicorn_wsgi::{ResponsePart, ThreadPool};

pub(crate) fn serve(received: &[u8], pool: &ThreadPool) -> Result<Vec<u8>, Box<dyn Error>> {
    let connection = Arc::new(ConnectionInfo::new(Address::Unix(None), Address::Unix(None)));
    let mut session = Session::new(Arc::new(Limits::default()));
    let (mut unread, mut head, mut body, mut sent) = (received, None, Vec::new(), Vec::new());
    loop {
        match session.receive(&mut unread)? {
            Event::Incomplete => return Ok(sent),
            Event::Head(received) => head = Some(received.head),
            Event::Data(bytes) => body.extend_from_slice(bytes),
            Event::End => {
                let (head, body) = (head.take().ok_or("no head")?, Bytes::from(std::mem::take(&mut body)));
                answer(Request::new(head, body.into(), connection.clone()), pool, &mut sent)?;
                session.next_request();
            }
        }
    }
}

fn answer(request: Request, pool: &ThreadPool, sent: &mut Vec<u8>) -> Result<(), Box<dyn Error>> {
    let (mut encoder, date) = (ResponseEncoder::new(&request.head), HttpDate::new(SystemTime::now()));
    let (parts, received) = channel();
    let response = pool.writer(&request.head, move |part| parts.send(part).map_err(|_| SendError::Gone));
    pool.submit(request, response).map_err(|_| "too many requests wait")?;
    for part in received {
        match part {
            ResponsePart::Head(head) => encoder.head(&head, BodyLength::Unknown, &date, b"memory", sent),
            ResponsePart::Block(block) => {
                let frame = encoder.block(block.len() as u64);
                sent.extend_from_slice(&[frame.prefix(), &block, frame.suffix].concat());
            }
            ResponsePart::End => sent.extend_from_slice(encoder.finish()?.0),
            _ => return Err("the response was cut".into()),
        }
    }
    Ok(())
}
