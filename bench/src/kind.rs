//! Which requests are measured? Each with the application in `apps.py` that answers it. `make bench` sends the same
//! ones over sockets (`browser.lua`, `browsing.lua`, `post.lua`), so that the figures can be set side by side.

/// One kind of request.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// What it is called in every table.
    pub name: &'static str,
    /// The application.
    pub app: &'static str,
    head: &'static str,
    body_len: usize,
    /// Whether the header lines are other ones in each request.
    changes: bool,
}

/// Every kind, from the cheapest on.
pub const KINDS: [Kind; 5] = [
    Kind { name: "hello", app: "hello", head: HELLO, body_len: 0, changes: false },
    Kind { name: "browser", app: "hello", head: BROWSER, body_len: 0, changes: false },
    Kind { name: "browsing", app: "hello", head: BROWSER, body_len: 0, changes: true },
    Kind { name: "post1k", app: "echo", head: POST, body_len: 1024, changes: false },
    Kind { name: "stream100", app: "stream", head: HELLO, body_len: 0, changes: false },
];

impl Kind {
    /// The kind called `name`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        KINDS.into_iter().find(|kind| kind.name == name)
    }

    /// The request as it is sent.
    #[must_use]
    pub fn wire(&self) -> Vec<u8> {
        self.wires()[0].clone()
    }

    /// The requests that are sent in turn.
    #[must_use]
    pub fn wires(&self) -> [Vec<u8>; 2] {
        let other = if self.changes { "?with=other" } else { "?with=query" };
        [self.head.to_owned(), self.head.replace("?with=query", other)].map(|head| {
            let mut wire = head.replace('\n', "\r\n").into_bytes();
            wire.resize(wire.len() + self.body_len, b'x');
            wire
        })
    }
}

/// What wrk sends.
const HELLO: &str = "GET / HTTP/1.1
Host: 127.0.0.1:8000

";

const POST: &str = "POST / HTTP/1.1
Host: 127.0.0.1:8000
Content-Type: application/json
Content-Length: 1024

";

/// What a desktop browser sends through a proxy.
const BROWSER: &str = "GET / HTTP/1.1
Host: 127.0.0.1:8000
User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36
Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8
Accept-Language: en-GB,en;q=0.9,es;q=0.8
Accept-Encoding: gzip, deflate, br, zstd
Cache-Control: max-age=0
Cookie: sessionid=2f1d7f4b0e2c49c6a6d2c1b7; csrftoken=Q3n5vYQmV0tG1sEo8c7Xr2Lk; theme=dark; _ga=GA1.2.1234567890.1690000000
Referer: http://127.0.0.1/previous/page?with=query
Upgrade-Insecure-Requests: 1
Sec-Fetch-Dest: document
Sec-Fetch-Mode: navigate
Sec-Fetch-Site: same-origin
X-Forwarded-For: 203.0.113.7
X-Forwarded-Proto: https

";
