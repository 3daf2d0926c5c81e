//! Lines as they are written, and what peers cannot do to them.

use super::*;
use funicorn_http::Version;
use std::time::UNIX_EPOCH;

fn tcp() -> Address {
    Address::Tcp("192.0.2.7:1234".parse().unwrap())
}

fn line(head: &RequestHead, peer: &Address) -> String {
    let line = Line { head, peer, status: 200, body_sent: 11 };
    String::from_utf8(line.format(&Moment::of(UNIX_EPOCH))).unwrap()
}

#[test]
fn a_line_is_as_gunicorn_writes_it() {
    let head = RequestHead::builder("GET", "/hola?x=1")
        .header("Referer", "http://example.org/")
        .header("User-Agent", "curl/8.1 (x)")
        .header("Authorization", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")
        .build();
    assert_eq!(
        line(&head, &tcp()),
        "192.0.2.7 - Aladdin [01/Jan/1970:00:00:00 +0000] \"GET /hola?x=1 HTTP/1.1\" 200 11 \
         \"http://example.org/\" \"curl/8.1 (x)\"\n"
    );
}

#[test]
fn what_is_absent_is_a_dash() {
    let head = RequestHead::builder("GET", "/").version(Version::Http10).build();
    let unix = Address::Unix(None);
    assert_eq!(
        line(&head, &unix),
        "- - - [01/Jan/1970:00:00:00 +0000] \"GET / HTTP/1.0\" 200 11 \"-\" \"-\"\n"
    );
}

#[test]
fn nobody_forges_a_line_or_a_field() {
    let head = RequestHead::builder("GET", "/\"x\\\n\u{e9}")
        .header("User-Agent", "a\" 200 1 \"\r\nb\x1b")
        // "a b\nc:x"
        .header("Authorization", "basic YSBiCmM6eA==")
        .build();
    assert_eq!(
        line(&head, &tcp()),
        "192.0.2.7 - a\\x20b\\x0ac [01/Jan/1970:00:00:00 +0000] \"GET /\\\"x\\\\\\x0a\\xc3\\xa9 HTTP/1.1\" 200 11 \
         \"-\" \"a\\\" 200 1 \\\"\\x0d\\x0ab\\x1b\"\n"
    );
}

#[test]
fn no_user_is_shown_for_what_is_not_basic_authentication() {
    for value in ["", "Basic", "Basic ", "Bearer QWxhZGRpbjpvcGVu", "Basic ====", "Basic QWxh", "Basic OnB3"]
    {
        assert_eq!(basic_user(value.as_bytes()), None, "{value}");
    }
}

#[test]
fn a_request_without_a_response_has_status_000() {
    let head = RequestHead::builder("GET", "/").build();
    let line = Line { head: &head, peer: &tcp(), status: 0, body_sent: 0 };
    let line = String::from_utf8(line.format(&Moment::of(UNIX_EPOCH))).unwrap();
    assert!(line.contains("\"GET / HTTP/1.1\" 000 0 \""), "{line}");
}

#[test]
fn a_file_that_was_moved_away_is_opened_anew() {
    let directory = std::env::temp_dir().join(format!("funicorn-access-log-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let (path, moved) = (directory.join("log"), directory.join("log.1"));
    let file = LogFile::open(&path).unwrap();
    write_whole(file.current().as_fd(), b"before").unwrap();
    std::fs::rename(&path, &moved).unwrap();
    let late = file.current();
    file.reopen().unwrap();
    write_whole(late.as_fd(), b", late").unwrap();
    write_whole(file.current().as_fd(), b"after").unwrap();
    assert_eq!(std::fs::read(&moved).unwrap(), b"before, late", "a line on its way is not lost");
    assert_eq!(std::fs::read(&path).unwrap(), b"after");
    std::fs::remove_dir_all(directory).unwrap();
}
