//! Where do the requests of a connection come from? From its peer, or from whom a trusted proxy speaks for.
//!
//! Two questions of trust follow on each other. The *socket's* peer may be one that has to send a PROXY header first, and then
//! the connection is that of the client which the header names. *That* client may be one whose forwarding headers count: a
//! proxy that adds headers to what another passes on, say. A client that is no proxy stays its own, whoever has passed it on.
//!
//! Both are answered once for each connection, so that requests on a connection whose peer is nobody's proxy pay for
//! one look at a flag. What a proxy says is understood once for as long as the header lines are the same.

use std::sync::Arc;

use funicorn_http::{Address, ConnectionInfo, Headers, ProxyProtocol, Refusal};

use crate::config::WorkerConfig;

/// See the module.
#[derive(Debug)]
pub(crate) struct Origin {
    info: Arc<ConnectionInfo>,
    awaits_proxy_header: bool,
    /// Whether forwarding headers can count.
    is_trusted: bool,
    /// What a proxy has said in lines that it sends again and again.
    repeated: Option<(Headers, Arc<ConnectionInfo>)>,
}

impl Origin {
    /// The origin of a connection of which only the socket is known.
    pub(crate) fn new(socket: &Arc<ConnectionInfo>, config: &WorkerConfig) -> Self {
        let speaks_proxy = config.proxy_protocol != ProxyProtocol::Off;
        Self {
            info: Arc::clone(socket),
            awaits_proxy_header: speaks_proxy && config.proxy_allow_from.contains(&socket.peer),
            is_trusted: config.forwarding.trusts(&socket.peer),
            repeated: None,
        }
    }

    /// Takes a PROXY header off `input`, if one has to come first. Returns whether requests follow now.
    pub(crate) fn is_told(&mut self, input: &mut &[u8], config: &WorkerConfig) -> Result<bool, Refusal> {
        if self.awaits_proxy_header
            && let Some(header) = config.proxy_protocol.read(input)?
        {
            self.is_trusted = config.forwarding.trusts(header.speaker(&self.info));
            self.info = Arc::new(header.connection(&self.info));
            self.awaits_proxy_header = false;
        }
        Ok(!self.awaits_proxy_header)
    }

    /// Whose request this is; refuses one with a header that is not to be there.
    pub(crate) fn of_request(
        &mut self,
        headers: &Headers,
        config: &WorkerConfig,
    ) -> Result<Arc<ConnectionInfo>, Refusal> {
        config.header_map.check(headers)?;
        if !self.is_trusted {
            return Ok(Arc::clone(&self.info));
        }
        if let Some((repeated, info)) = &self.repeated
            && repeated.share_lines_with(headers)
        {
            return Ok(Arc::clone(info));
        }
        let resolved = config.forwarding.resolve(headers, &self.info)?;
        let info = resolved.map_or_else(|| Arc::clone(&self.info), Arc::new);
        self.repeated = headers.is_repeated().then(|| (headers.clone(), Arc::clone(&info)));
        Ok(info)
    }

    /// Forgets what the last request said about itself.
    pub(crate) fn forget(&mut self) {
        self.repeated = None;
    }

    /// The client, as far as it is known for the whole connection.
    pub(crate) fn peer(&self) -> &Address {
        &self.info.peer
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use funicorn_http::{Event, HeaderMap, RequestHead, Session};

    fn tcp(text: &str) -> Address {
        Address::Tcp(text.parse().unwrap())
    }

    fn config() -> WorkerConfig {
        let mut config = WorkerConfig { proxy_protocol: ProxyProtocol::Auto, ..WorkerConfig::default() };
        config.forwarding.trusted = "127.0.0.1,unix,10.0.0.0/8".parse().unwrap();
        config
    }

    /// Who sends a request with `X-Forwarded-For: 192.0.2.1` behind `start`, on a connection from `peer`.
    fn sender(config: &WorkerConfig, peer: Address, start: &[u8]) -> Result<Address, Refusal> {
        let mut origin = Origin::new(&Arc::new(ConnectionInfo::new(peer, tcp("127.0.0.1:80"))), config);
        let mut input = start;
        assert!(origin.is_told(&mut input, config)?);
        assert!(
            origin.is_told(&mut &b"PROXY UNKNOWN\r\n"[..], config)?,
            "there is one header, at the beginning"
        );
        assert_eq!(input, b"");
        let head = RequestHead::builder("GET", "/").header("X-Forwarded-For", "192.0.2.1").build();
        origin.of_request(head.headers(), config).map(|info| info.peer.clone())
    }

    /// Heads of requests of one connection, with these lines behind Host.
    fn heads(lines: &[&str]) -> Vec<RequestHead> {
        let mut session = Session::new(Arc::default());
        let receive = |line: &&str| {
            let wire = format!("GET / HTTP/1.1\r\nHost: a\r\n{line}\r\n\r\n");
            let mut input = wire.as_bytes();
            let Ok(Event::Head(received)) = session.receive(&mut input) else { panic!("no head") };
            assert!(matches!(session.receive(&mut input), Ok(Event::End)));
            session.next_request();
            received.head
        };
        lines.iter().map(receive).collect()
    }

    #[test]
    fn what_a_proxy_repeats_is_understood_once() {
        let (config, socket) = (config(), ConnectionInfo::new(tcp("127.0.0.1:1"), tcp("127.0.0.1:80")));
        let mut origin = Origin::new(&Arc::new(socket), &config);
        let [one, other] = ["X-Forwarded-For: 192.0.2.1", "X-Forwarded-For: 192.0.2.2"];
        let heads = heads(&[one, one, one, other, other, one]);
        let infos: Vec<_> =
            heads.iter().map(|head| origin.of_request(head.headers(), &config).unwrap()).collect();
        let peers: Vec<String> = infos.iter().map(|info| info.peer.to_string()).collect();
        let [one, other] = ["192.0.2.1", "192.0.2.2"];
        assert_eq!(peers, [one, one, one, other, other, one]);
        assert!(Arc::ptr_eq(&infos[1], &infos[2]));
        origin.forget();
        let anew = origin.of_request(heads[2].headers(), &config).unwrap();
        assert!(!Arc::ptr_eq(&infos[2], &anew) && infos[2].peer == anew.peer);
    }

    /// A block of version 2 from a Unix socket.
    fn unix_block() -> Vec<u8> {
        let mut block = b"\r\n\r\n\0\r\nQUIT\n\x21\x31\x00\xd8/a".to_vec();
        block.resize(16 + 216, 0);
        block
    }

    #[test]
    fn forwarding_headers_count_for_the_client_that_the_proxy_names() {
        let config = config();
        for (start, expected) in [
            (&b"PROXY TCP4 10.0.0.1 192.0.2.9 1 2\r\n"[..], Address::Ip("192.0.2.1".parse().unwrap())),
            (b"PROXY TCP4 198.51.100.7 192.0.2.9 1 2\r\n", tcp("198.51.100.7:1")),
            (b"PROXY UNKNOWN\r\n", tcp("127.0.0.1:4711")),
            (b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00", Address::Ip("192.0.2.1".parse().unwrap())),
            (&unix_block(), Address::Unix(Some(PathBuf::from("/a")))),
        ] {
            assert_eq!(
                sender(&config, tcp("127.0.0.1:4711"), start),
                Ok(expected),
                "{}",
                start.escape_ascii()
            );
        }
    }

    #[test]
    fn a_header_is_required_of_those_in_the_list_and_of_no_others() {
        let mut config = config();
        assert_eq!(sender(&config, tcp("127.0.0.1:1"), b"GET / HTTP/1.1\r\n"), Err(Refusal::ProxyHeader));
        assert_eq!(sender(&config, tcp("203.0.113.1:1"), b""), Ok(tcp("203.0.113.1:1")));
        config.proxy_protocol = ProxyProtocol::Off;
        assert_eq!(sender(&config, tcp("127.0.0.1:1"), b""), Ok(Address::Ip("192.0.2.1".parse().unwrap())));
    }

    #[test]
    fn a_header_may_come_in_pieces() {
        let config = config();
        let socket = Arc::new(ConnectionInfo::new(tcp("127.0.0.1:1"), tcp("127.0.0.1:80")));
        let mut origin = Origin::new(&socket, &config);
        let whole = b"PROXY TCP4 198.51.100.7 192.0.2.9 1 2\r\n";
        for len in 0..whole.len() {
            let mut input = &whole[..len];
            assert_eq!(origin.is_told(&mut input, &config), Ok(false));
            assert_eq!(input.len(), len, "nothing is taken before the end is there");
        }
        assert_eq!(origin.is_told(&mut &whole[..], &config), Ok(true));
        assert_eq!(origin.peer(), &tcp("198.51.100.7:1"));
    }

    #[test]
    fn names_with_an_underscore_are_refused_if_they_are_to_be() {
        let mut config = WorkerConfig::default();
        let socket = Arc::new(ConnectionInfo::new(tcp("203.0.113.1:1"), tcp("127.0.0.1:80")));
        let head = RequestHead::builder("GET", "/").header("X_A", "").build();
        assert!(Origin::new(&socket, &config).of_request(head.headers(), &config).is_ok());
        config.header_map = HeaderMap::Refuse;
        assert_eq!(
            Origin::new(&socket, &config).of_request(head.headers(), &config).map(drop),
            Err(Refusal::HeaderName)
        );
    }
}
