//! Where does a request end, read a second way? As plainly as the grammar of RFC 9112 can be written down: whole requests
//! only, with no limits, no states and no code of the crate.

/// A request that is valid in the strictest reading.
pub(crate) struct Plain<'a> {
    pub(crate) method: &'a [u8],
    pub(crate) target: &'a [u8],
    pub(crate) body: Vec<u8>,
    /// All its bytes, an empty line before it included.
    pub(crate) len: usize,
}

/// The request at the beginning of `stream`, or `None` when none is there that is whole and strictly valid.
pub(crate) fn read(stream: &[u8]) -> Option<Plain<'_>> {
    let text = stream.strip_prefix(b"\r\n").unwrap_or(stream);
    let end = find(text, b"\r\n\r\n")?;
    let mut lines = split(&text[..end], b"\r\n").into_iter();
    let parts: Vec<&[u8]> = lines.next()?.split(|&byte| byte == b' ').collect();
    let &[method, target, version] = &parts[..] else { return None };
    let is_target = !target.is_empty() && target.iter().all(|&byte| byte > b' ' && byte != 0x7f);
    if !is_name(method) || !is_target || !matches!(version, b"HTTP/1.0" | b"HTTP/1.1") {
        return None;
    }
    let fields: Option<Vec<_>> = lines.map(field).collect();
    let fields = fields?;
    let all = |name: &str| -> Vec<&[u8]> {
        let called = |found: &[u8]| found.eq_ignore_ascii_case(name.as_bytes());
        fields.iter().filter(|(found, _)| called(found)).map(|(_, value)| *value).collect()
    };
    let hosts = all("Host");
    let is_list = hosts.len() > 1 || hosts.iter().any(|host| host.contains(&b','));
    if is_list || (hosts.is_empty() && version == b"HTTP/1.1") {
        return None;
    }
    let behind = &text[end + 4..];
    let (body, body_len) = match (&all("Content-Length")[..], &all("Transfer-Encoding")[..]) {
        ([], []) => (Vec::new(), 0),
        ([length], []) if !length.is_empty() && length.iter().all(u8::is_ascii_digit) => {
            let len: usize = std::str::from_utf8(length).ok()?.parse().ok()?;
            (behind.get(..len)?.to_vec(), len)
        }
        ([], [coding]) if coding.eq_ignore_ascii_case(b"chunked") && version == b"HTTP/1.1" => {
            chunks(behind)?
        }
        _ => return None,
    };
    Some(Plain { method, target, body, len: stream.len() - behind.len() + body_len })
}

/// What no trailer may be called.
const FRAMES_OR_ROUTES: &[&str] =
    &["Connection", "Content-Length", "Expect", "Host", "TE", "Trailer", "Transfer-Encoding", "Upgrade"];

/// The body inside the chunks, and how many bytes they and the trailers take.
fn chunks(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let line = &bytes[at..][..find(&bytes[at..], b"\r\n")?];
        at += line.len() + 2;
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let behind = &line[digits..];
        let is_extension = behind.trim_ascii_start().starts_with(b";") && is_text(behind);
        if !behind.is_empty() && !is_extension {
            return None;
        }
        let size = usize::from_str_radix(std::str::from_utf8(&line[..digits]).ok()?, 16).ok()?;
        if size == 0 {
            break;
        }
        let (chunk, end) = bytes.get(at..)?.get(..size.checked_add(2)?)?.split_at(size);
        if end != b"\r\n" {
            return None;
        }
        body.extend_from_slice(chunk);
        at += size + 2;
    }
    loop {
        let line = &bytes[at..][..find(&bytes[at..], b"\r\n")?];
        at += line.len() + 2;
        if line.is_empty() {
            return Some((body, at));
        }
        let (name, _) = field(line)?;
        if FRAMES_OR_ROUTES.iter().any(|header| name.eq_ignore_ascii_case(header.as_bytes())) {
            return None;
        }
    }
}

/// The name and the value of a field line.
fn field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    (is_name(name) && is_text(value)).then(|| (name, trim(value)))
}

fn trim(value: &[u8]) -> &[u8] {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = value.iter().take_while(|byte| is_blank(byte)).count();
    let end = value[start..].iter().rev().take_while(|byte| is_blank(byte)).count();
    &value[start..value.len() - end]
}

fn is_name(name: &[u8]) -> bool {
    !name.is_empty()
        && name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

fn is_text(text: &[u8]) -> bool {
    text.iter().all(|&byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f))
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

fn split<'a>(mut text: &'a [u8], at: &[u8]) -> Vec<&'a [u8]> {
    let mut parts = Vec::new();
    while let Some(end) = find(text, at) {
        parts.push(&text[..end]);
        text = &text[end + at.len()..];
    }
    parts.push(text);
    parts
}
