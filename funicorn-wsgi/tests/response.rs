//! What becomes of what the application returns?
#![allow(missing_docs, clippy::unwrap_used, reason = "test")]

mod common;

use common::*;
use funicorn_http::BodyLength;

#[test]
fn a_list_of_bytes_has_a_known_length() {
    let app = app("
        def app(environ, start_response):
            start_response('200 OK', [('Content-Type', 'text/plain')])
            return [b'hello ', b'', b'world']
    ");
    let record = app.get("/");
    assert_eq!(record.status(), 200);
    assert_eq!(record.headers(), "Content-Type: text/plain\r\n");
    assert_eq!((record.length, record.end), (Some(BodyLength::Known(11)), Some(End::Finished)));
    assert_eq!(record.text(), "hello world");
}
