//! What a sink of parts hands over: heads, blocks, files, ends and cuts.

use std::io::Write;
use std::sync::mpsc::{Receiver, channel};

use funicorn_http::{Request, ResponseWriter};

use super::*;

struct Nobody;

impl Service for Nobody {
    fn call(&self, _request: Request, _response: ResponseWriter) {}
}

/// A writer whose parts come out as words.
fn writer(method: &str) -> (ResponseWriter, Receiver<String>) {
    let (sender, receiver) = channel();
    let request = RequestHead::builder(method, "/").build();
    let take = move |part| {
        let word = match part {
            ResponsePart::Head(head) => format!("{} {:?}", head.code(), head.content_length()),
            ResponsePart::Block(block) => String::from_utf8(block.to_vec()).unwrap(),
            ResponsePart::End => "end".to_owned(),
            ResponsePart::Cut(reason) => format!("cut {reason:?}"),
        };
        sender.send(word).map_err(|_| SendError::Gone)
    };
    (ResponseWriter::new(Box::new(PartSink::new(Arc::new(Nobody), &request, Box::new(take)))), receiver)
}

fn words(receiver: &Receiver<String>) -> Vec<String> {
    receiver.try_iter().collect()
}

fn head(code: u16) -> ResponseHead {
    ResponseHead::new(code, b"Whatever").unwrap()
}

#[test]
fn a_response_of_unknown_length() {
    let (mut response, received) = writer("GET");
    response.start(head(200), BodyLength::Unknown).unwrap();
    response.send(b"a").unwrap();
    response.send(b"").unwrap();
    response.send(b"b").unwrap();
    response.finish().unwrap();
    assert_eq!(words(&received), ["200 None", "a", "b", "end"]);
}

#[test]
fn what_is_too_long_is_cut_to_its_length() {
    let (mut response, received) = writer("GET");
    response.start(head(200), BodyLength::Known(3)).unwrap();
    assert_eq!(response.room(), Some(3));
    assert_eq!(response.send(b"abcde"), Err(SendError::TooLong));
    response.finish().unwrap();
    assert_eq!(words(&received), ["200 Some(3)", "abc", "end"]);
}

#[test]
fn what_is_too_short_is_cut_off() {
    let (mut response, received) = writer("GET");
    response.start(head(200), BodyLength::Known(3)).unwrap();
    response.send(b"ab").unwrap();
    assert_eq!(response.finish(), Err(SendError::TooShort));
    assert_eq!(words(&received), ["200 Some(3)", "ab", "cut Application"]);
}

#[test]
fn some_responses_have_no_body() {
    for (method, code) in [("HEAD", 200), ("GET", 204), ("GET", 304)] {
        let (mut response, received) = writer(method);
        response.start(head(code), BodyLength::Known(3)).unwrap();
        response.send(b"abc").unwrap();
        response.finish().unwrap();
        assert_eq!(words(&received), [format!("{code} None"), "end".to_owned()], "{method}");
    }
}

#[test]
fn a_drop_is_a_cut() {
    let (response, received) = writer("GET");
    drop(response);
    assert_eq!(words(&received), ["cut Dropped"]);
}

#[test]
fn the_order_is_kept() {
    let (mut response, received) = writer("GET");
    assert_eq!(response.send(b"a"), Err(SendError::Order));
    response.start(head(200), BodyLength::Known(0)).unwrap();
    assert_eq!(response.start(head(200), BodyLength::Known(0)), Err(SendError::Order));
    drop(response);
    assert_eq!(words(&received), ["200 Some(0)", "cut Dropped"]);
}

#[test]
fn nobody_is_left_to_take_it() {
    let (mut response, received) = writer("GET");
    response.start(head(200), BodyLength::Unknown).unwrap();
    drop(received);
    assert_eq!(response.send(b"a"), Err(SendError::Gone));
}

fn file(len: usize) -> std::fs::File {
    let path = std::env::temp_dir().join(format!("funicorn-parts-{}-{len}", std::process::id()));
    let mut file =
        std::fs::File::options().create(true).truncate(true).read(true).write(true).open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    file.write_all(&vec![b'x'; len]).unwrap();
    file
}

#[test]
fn a_file_comes_in_blocks() {
    let len = FILE_BLOCK as usize + 10;
    let (mut response, received) = writer("GET");
    response.start(head(200), BodyLength::Known(len as u64 - 1)).unwrap();
    response.send_file(FileRange { file: file(len), offset: 1, len: len as u64 - 1 }).unwrap();
    response.finish().unwrap();
    let words = words(&received);
    assert_eq!((words.len(), words[1].len(), words[2].len()), (4, FILE_BLOCK as usize, 9));
    assert_eq!(words[3], "end");
}

#[test]
fn a_file_that_became_shorter_is_cut_off() {
    let (mut response, received) = writer("GET");
    response.start(head(200), BodyLength::Known(5)).unwrap();
    let range = FileRange { file: file(3), offset: 0, len: 5 };
    assert_eq!(response.send_file(range), Err(SendError::TooShort));
    assert_eq!(response.finish(), Err(SendError::TooShort));
    assert_eq!(words(&received), ["200 Some(5)", "xxx", "cut Application"]);
}
