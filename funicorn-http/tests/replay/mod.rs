//! What does a session make of a stream of bytes that arrives in pieces? Shared by the tests over the wire.

use std::sync::Arc;

use funicorn_http::{Event, Limits, ReceivedHead, Refusal, Session};

/// What one stream led to.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    pub(crate) requests: Vec<Received>,
    /// What came of the bytes behind the last whole request.
    pub(crate) rest: Rest,
    /// The most bytes that the caller had to keep because the session did not take them.
    pub(crate) most_kept: usize,
}

/// One request, which may have been cut short by the end of the stream or a refusal.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) head: ReceivedHead,
    pub(crate) body: Vec<u8>,
    pub(crate) complete: bool,
    /// How much of the stream had been taken when the session took the last of this request.
    pub(crate) taken: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Rest {
    /// The stream ended between two requests.
    #[default]
    Nothing,
    /// The stream ended within a request.
    Incomplete,
    Refused(Refusal),
}

/// Feeds the pieces to a session one by one, as a server would: what is not taken waits for the next piece.
pub(crate) fn replay<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, limits: &Limits) -> Replay {
    feed(pieces, limits, Session::next_request)
}

/// The same with a session that remembers nothing from one request to the next.
#[allow(dead_code, reason = "most who replay streams have no use for it")]
pub(crate) fn replay_forgetting<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, limits: &Limits) -> Replay {
    feed(pieces, limits, |session| {
        session.next_request();
        session.forget();
    })
}

fn feed<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, limits: &Limits, go_on: fn(&mut Session)) -> Replay {
    let mut session = Session::new(Arc::new(limits.clone()));
    let mut replay = Replay::default();
    let (mut kept, mut arrived) = (Vec::new(), 0);
    for piece in pieces {
        kept.extend_from_slice(piece);
        arrived += piece.len();
        let mut input = &kept[..];
        loop {
            match session.receive(&mut input) {
                Ok(Event::Incomplete) => break,
                Ok(Event::Head(head)) => {
                    replay.requests.push(Received { head, body: Vec::new(), complete: false, taken: 0 });
                }
                Ok(Event::Data(bytes)) => {
                    assert!(!bytes.is_empty(), "data is never empty");
                    replay.requests.last_mut().expect("a head precedes data").body.extend_from_slice(bytes);
                }
                Ok(Event::End) => {
                    let request = replay.requests.last_mut().expect("a head precedes the end");
                    (request.complete, request.taken) = (true, arrived - input.len());
                    go_on(&mut session);
                }
                Err(refusal) => {
                    replay.rest = Rest::Refused(refusal);
                    return replay;
                }
            }
        }
        let left = input.len();
        kept.drain(..kept.len() - left);
        replay.most_kept = replay.most_kept.max(left);
    }
    if !session.is_between_requests() {
        replay.rest = Rest::Incomplete;
    }
    replay
}

/// The replay in words, one line for each fact; see `wire/README.md`.
pub(crate) fn transcript(replay: &Replay) -> String {
    let mut lines = Vec::new();
    for Received { head: received, body, complete, .. } in &replay.requests {
        let head = &received.head;
        let mut line = format!("request {} {}", head.method().escape_ascii(), short(head.target()));
        if head.version().as_str() != "HTTP/1.1" {
            line += &format!(" {}", head.version().as_str());
        }
        if received.expects_continue {
            line += " expects-continue";
        }
        lines.push(line);
        if let Some(authority) = head.authority() {
            lines.push(format!("authority {}", authority.escape_ascii()));
        }
        lines.push(format!("path {}", head.path().escape_ascii()));
        if !head.query().is_empty() {
            lines.push(format!("query {}", head.query().escape_ascii()));
        }
        for (name, value) in head.headers() {
            lines.push(format!("field {}={}", name.escape_ascii(), value.escape_ascii()));
        }
        lines.push(received.length.map_or("chunked".into(), |len| format!("length {len}")));
        if !body.is_empty() {
            lines.push(format!("body {}", short(body)));
        }
        if *complete {
            lines.push("end".into());
        }
    }
    match replay.rest {
        Rest::Nothing => {}
        Rest::Incomplete => lines.push("incomplete".into()),
        Rest::Refused(refusal) => lines.push(format!("refused {} {refusal:?}", refusal.status().0)),
    }
    lines.join("\n")
}

fn short(text: &[u8]) -> String {
    if text.len() > 200 { format!("of {} bytes", text.len()) } else { text.escape_ascii().to_string() }
}

/// Cuts `bytes` into pieces behind each place in `cuts`.
pub(crate) fn pieces(bytes: &[u8], cuts: impl IntoIterator<Item = usize>) -> Vec<&[u8]> {
    let mut cuts: Vec<usize> = cuts.into_iter().filter(|&at| at <= bytes.len()).collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}
