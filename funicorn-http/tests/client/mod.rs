//! What does a client make of a response?

/// A response as a small client reads it that shares no code with the encoder.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) status: u16,
    pub(crate) reason: String,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) keeps_alive: bool,
    pub(crate) ends_with_close: bool,
    /// Bytes behind the response.
    pub(crate) rest: usize,
}

impl Read {
    pub(crate) fn response(wire: &[u8], to_head: bool) -> Self {
        let mut slots = [httparse::EMPTY_HEADER; 32];
        let mut parsed = httparse::Response::new(&mut slots);
        let head_len = parsed.parse(wire).expect("a valid head").unwrap();
        let field = |name: &str| {
            let mut found = parsed.headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
            let value = found.next().map(|header| String::from_utf8_lossy(header.value).into_owned());
            assert!(found.next().is_none(), "{name} is said once");
            value
        };
        assert!(field("Server").is_some() && field("Date").is_some());
        let status = parsed.code.expect("a status");
        let (length, coding) = (field("Content-Length"), field("Transfer-Encoding"));
        assert!(length.is_none() || coding.is_none(), "one framing");
        let behind = &wire[head_len..];
        let mut ends_with_close = false;
        let (body, rest) = match (length, coding) {
            _ if to_head || matches!(status, 204 | 304) => (Vec::new(), behind.len()),
            (Some(length), _) => {
                let len: usize = length.parse().expect("a number");
                (behind[..len].to_vec(), behind.len() - len)
            }
            (None, Some(coding)) => {
                assert_eq!(coding, "chunked");
                read_chunks(behind)
            }
            (None, None) => {
                ends_with_close = true;
                (behind.to_vec(), 0)
            }
        };
        Self {
            status,
            reason: parsed.reason.unwrap_or_default().to_string(),
            keeps_alive: field("Connection").as_deref() != Some("close"),
            fields: parsed
                .headers
                .iter()
                .map(|header| (header.name.to_string(), String::from_utf8_lossy(header.value).into_owned()))
                .collect(),
            body,
            ends_with_close,
            rest,
        }
    }
}

/// The body inside well-formed chunks, and how many bytes follow it.
fn read_chunks(mut rest: &[u8]) -> (Vec<u8>, usize) {
    let mut body = Vec::new();
    loop {
        let line = rest.windows(2).position(|pair| pair == b"\r\n").expect("a size");
        let size = std::str::from_utf8(&rest[..line]).expect("digits");
        let size = usize::from_str_radix(size, 16).expect("hexadecimal digits");
        let (chunk, after) = rest[line + 2..].split_at(size);
        assert_eq!(&after[..2], b"\r\n", "a chunk ends in CRLF, and so does the last one");
        body.extend_from_slice(chunk);
        rest = &after[2..];
        if size == 0 {
            return (body, rest.len());
        }
    }
}
