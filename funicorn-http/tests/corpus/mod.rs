//! What stands in `tests/wire`? Reads the corpus in the notation of its README. Shared by the tests and the fuzz targets.
#![allow(dead_code, reason = "some who read the corpus take the streams alone")]

use std::fs;
use std::path::Path;

use funicorn_http::Limits;

/// One file of the corpus.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) limits: Limits,
    pub(crate) expected: Vec<String>,
    pub(crate) stream: Vec<u8>,
}

impl Case {
    fn parse(name: String, text: &str) -> Self {
        let mut case = Self { name, limits: Limits::default(), expected: Vec::new(), stream: Vec::new() };
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next_if(|line| line.starts_with(['#', '>', '%'])) {
            match line.split_at(1) {
                (">", expected) => case.expected.push(expected.trim().to_string()),
                ("%", limit) => case.set_limit(limit.trim()),
                _ => {}
            }
        }
        lines.for_each(|line| unescape(line, &mut case.stream));
        case
    }

    fn set_limit(&mut self, text: &str) {
        let (name, number) = text.split_once(' ').expect("a limit is a name and a number");
        let number: usize = number.parse().expect("a limit is a number");
        match name {
            "request_line" => self.limits.request_line = number,
            "header_field" => self.limits.header_field = number,
            "header_count" => self.limits.header_count = number,
            "head" => self.limits.head = number,
            "body" => self.limits.body = number as u64,
            "chunk_extension" => self.limits.chunk_extension = number,
            "trailers" => self.limits.trailers = number,
            _ => panic!("{}: no limit is called {name}", self.name),
        }
    }
}

fn unescape(mut text: &str, out: &mut Vec<u8>) {
    while let Some((plain, escape)) = text.split_once('\\') {
        out.extend_from_slice(plain.as_bytes());
        let rest = &escape[1..];
        text = match &escape[..1] {
            "r" => push(out, b'\r', rest),
            "n" => push(out, b'\n', rest),
            "t" => push(out, b'\t', rest),
            "0" => push(out, b'\0', rest),
            "\\" => push(out, b'\\', rest),
            "x" => push(out, u8::from_str_radix(&rest[..2], 16).expect("two hexadecimal digits"), &rest[2..]),
            "{" => {
                let (inside, rest) = rest.split_once('}').expect("a closing brace");
                let (count, what) = inside.split_once('*').expect("a count and a text");
                let mut once = Vec::new();
                unescape(what, &mut once);
                out.extend(once.repeat(count.parse().expect("a count")));
                rest
            }
            other => panic!("no escape is called {other:?}"),
        };
    }
    out.extend_from_slice(text.as_bytes());
}

fn push<'a>(out: &mut Vec<u8>, byte: u8, rest: &'a str) -> &'a str {
    out.push(byte);
    rest
}

/// Every file of the folder, by name.
pub(crate) fn corpus(folder: &Path) -> Vec<Case> {
    let files =
        fs::read_dir(folder).expect("the corpus is there").map(|entry| entry.expect("an entry").path());
    let mut cases: Vec<Case> = files
        .filter(|path| path.extension().is_some_and(|end| end == "http"))
        .map(|path| {
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            Case::parse(name, &fs::read_to_string(&path).expect("readable text"))
        })
        .collect();
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    cases
}
