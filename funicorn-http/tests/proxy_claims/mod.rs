//! What must hold for any bytes at the beginning of a connection that a PROXY header has to stand before? Shared by the
//! tests and the fuzz target, so that both ask the same.

use funicorn_http::{Address, ProxyHeader, ProxyProtocol, Refusal};

/// The most bytes that are ever waited for.
const LONGEST: usize = 4096;

/// What came of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Incomplete,
    /// A header, and how many bytes it took.
    Header(ProxyHeader, usize),
    Refused(Refusal),
}

impl Outcome {
    /// In words, one line for each fact.
    #[allow(dead_code, reason = "only the corpus is compared in words")]
    pub(crate) fn transcript(&self, stream: &[u8]) -> Vec<String> {
        match self {
            Self::Incomplete => vec!["incomplete".to_owned()],
            Self::Refused(refusal) => vec![format!("refused {} {refusal:?}", refusal.status().0)],
            Self::Header(header, len) => {
                let header = match header {
                    ProxyHeader::Client { source, destination } => {
                        format!("client {source} at {destination}")
                    }
                    ProxyHeader::Local => "local".to_owned(),
                    _ => "unknown".to_owned(),
                };
                vec![header, format!("rest {}", stream[*len..].escape_ascii())]
            }
        }
    }
}

/// Reads `stream` as it arrives: after each of the lengths in `steps`, which grow.
fn arrive(spoken: ProxyProtocol, stream: &[u8], steps: impl Iterator<Item = usize>) -> Outcome {
    for len in steps {
        let mut input = &stream[..len];
        match spoken.read(&mut input) {
            Ok(None) => {
                assert_eq!(input.len(), len, "nothing is taken before the end is there");
                assert!(len < LONGEST, "{len} bytes were kept");
            }
            Ok(Some(header)) => return Outcome::Header(header, len - input.len()),
            Err(refusal) => return Outcome::Refused(refusal),
        }
    }
    Outcome::Incomplete
}

/// One outcome, whether `stream` arrives whole, in pieces up to the places in `cuts`, or byte by byte; the versions that are
/// spoken decide nothing but which of the two is read.
pub(crate) fn check(stream: &[u8], cuts: &[usize]) -> Outcome {
    let [auto, line, block] = [ProxyProtocol::Auto, ProxyProtocol::V1, ProxyProtocol::V2].map(|spoken| {
        let whole = arrive(spoken, stream, std::iter::once(stream.len()));
        let mut cuts: Vec<usize> = cuts.iter().copied().filter(|&at| at <= stream.len()).collect();
        cuts.push(stream.len());
        cuts.sort_unstable();
        assert_eq!(arrive(spoken, stream, cuts.into_iter()), whole, "in pieces");
        assert_eq!(arrive(spoken, stream, 0..=stream.len()), whole, "byte by byte");
        whole
    });
    let refused = Outcome::Refused(Refusal::ProxyHeader);
    let expected = match (&line, &block) {
        (line, block) if *line == refused => block,
        (line, block) if *block == refused => line,
        (line, block) => {
            assert_eq!(line, block, "only a stream without a byte could become either");
            line
        }
    };
    assert_eq!(&auto, expected);
    if let Outcome::Header(ProxyHeader::Client { source, destination }, _) = &auto {
        let is_ipv4 = |address: &Address| matches!(address, Address::Tcp(addr) if addr.is_ipv4());
        assert_eq!(is_ipv4(source), is_ipv4(destination), "both ends are of one family");
    }
    auto
}
