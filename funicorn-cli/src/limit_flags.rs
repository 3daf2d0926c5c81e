//! How much and how long may be set by which flags? Names are gunicorn's wherever it has the same limit.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use funicorn_net::{Bound, Deadlines, WorkerLimits};

use crate::flags::parse_seconds;
use crate::size;

/// What bounds memory and disk.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Limits (SIZE: bytes, or with K, M, G, T)")]
pub(crate) struct LimitFlags {
    /// The longest request line; 0 is no limit here and in the next six. A longer one gets 414.
    #[arg(long, value_name = "SIZE", default_value = "8190", value_parser = size::parse_limit)]
    limit_request_line: u64,

    /// Header lines of a request. More get 431.
    #[arg(long, value_name = "N", default_value = "100", value_parser = size::parse_limit)]
    limit_request_fields: u64,

    /// The longest header line. A longer one gets 431.
    #[arg(long, value_name = "SIZE", default_value = "8190", value_parser = size::parse_limit)]
    #[arg(alias = "limit-request-field_size")]
    limit_request_field_size: u64,

    /// The whole head of a request. A larger one gets 431.
    #[arg(long, value_name = "SIZE", default_value = "64K", value_parser = size::parse_limit)]
    limit_request_head: u64,

    /// The largest request body. A larger one gets 413.
    #[arg(long, value_name = "SIZE", default_value = "1G", value_parser = size::parse_limit)]
    limit_request_body: u64,

    /// Extensions of one chunk of a request body. More get 400.
    #[arg(long, value_name = "SIZE", default_value = "256", value_parser = size::parse_limit)]
    limit_chunk_extension: u64,

    /// Trailers of a chunked request body. More get 431.
    #[arg(long, value_name = "SIZE", default_value = "8190", value_parser = size::parse_limit)]
    limit_trailers: u64,

    /// Connections of each worker. Past it, idle ones are closed for new ones, and others wait.
    #[arg(long, value_name = "N", default_value_t = 16384, value_parser = clap::value_parser!(u32).range(1..))]
    worker_connections: u32,

    /// Requests of each worker that may wait for a thread as long as it takes.
    #[arg(long, value_name = "N", default_value_t = 256)]
    limit_queue: u32,

    /// What of one request body is kept in memory; a larger body waits in a file.
    #[arg(long, value_name = "SIZE", default_value = "256K", value_parser = size::parse)]
    body_buffer: u64,

    /// Memory of each worker for request bodies; past it, bodies wait in files.
    #[arg(long, value_name = "SIZE", default_value = "64M", value_parser = size::parse)]
    limit_body_memory: u64,

    /// What of one response waits in memory for a slow client; past it, the response goes on in a file.
    #[arg(long, value_name = "SIZE", default_value = "1M", value_parser = size::parse)]
    limit_response_memory: u64,

    /// What of one response waits in a file; past it, the application waits for the client.
    #[arg(long, value_name = "SIZE", default_value = "256M", value_parser = size::parse)]
    limit_response_spool: u64,

    /// Disk of each worker for all such files. Past it, a request with a large body gets 503.
    #[arg(long, value_name = "SIZE", default_value = "8G", value_parser = size::parse)]
    limit_spool: u64,

    /// Where these files are, without names. Best on a disk: /tmp is often memory. Default: $TMPDIR, else /var/tmp.
    #[arg(long, value_name = "DIR")]
    pub(crate) spool_dir: Option<PathBuf>,
}

/// What bounds time. All are looked at about once a second.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Timeouts (of clients; the application's calls are not timed)")]
pub(crate) struct TimeoutFlags {
    /// From the first byte of a request to the end of its head. A late one gets 408.
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = parse_seconds)]
    head_timeout: Duration,

    /// Between two arrivals of a body's bytes. A late one gets 408.
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = parse_seconds)]
    body_timeout: Duration,

    /// Bytes a second at which a body must arrive in the mean, once --body-timeout has passed; 0 is no minimum.
    #[arg(long, value_name = "SIZE", default_value = "240", value_parser = size::parse)]
    min_body_rate: u64,

    /// How long an idle connection is kept; 0 closes it behind each response.
    #[arg(long, value_name = "SECONDS", default_value = "75", value_parser = parse_seconds)]
    keep_alive: Duration,

    /// How long a client may take no output before it is cut.
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = parse_seconds)]
    write_timeout: Duration,

    /// Bytes a second at which a client must take output in the mean while some waits for it, once --write-timeout has
    /// passed; 0 is no minimum. A slower client is cut.
    #[arg(long, value_name = "SIZE", default_value = "240", value_parser = size::parse)]
    min_send_rate: u64,

    /// From the first byte of a request to the last of its response; 0 is no limit. A late request gets 408, a late response
    /// is cut.
    #[arg(long, value_name = "SECONDS", default_value = "0", value_parser = parse_seconds)]
    request_timeout: Duration,

    /// How long a request waits behind --limit-queue others. A late one gets 503.
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = parse_seconds)]
    queue_timeout: Duration,
}

/// The flag that sets what a refused request has passed.
pub(crate) fn flag_of(bound: Bound) -> &'static str {
    match bound {
        Bound::RequestLine => "--limit-request-line",
        Bound::HeaderField => "--limit-request-field-size",
        Bound::HeaderCount => "--limit-request-fields",
        Bound::Head => "--limit-request-head",
        Bound::Body => "--limit-request-body",
        Bound::ChunkExtension => "--limit-chunk-extension",
        Bound::Trailers => "--limit-trailers",
        Bound::Spool => "--limit-spool",
        Bound::HeadTime => "--head-timeout",
        Bound::BodyTime => "--body-timeout",
        Bound::MinBodyRate => "--min-body-rate",
        Bound::RequestTime => "--request-timeout",
        Bound::QueueTime => "--queue-timeout",
        _ => bound.field(),
    }
}

/// A limit that is more than can be counted here is none.
fn count(limit: u64) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

impl LimitFlags {
    pub(crate) fn to_limits(&self) -> WorkerLimits {
        let mut limits = WorkerLimits::default();
        limits.request.request_line = count(self.limit_request_line);
        limits.request.header_count = count(self.limit_request_fields);
        limits.request.header_field = count(self.limit_request_field_size);
        limits.request.head = count(self.limit_request_head);
        limits.request.body = self.limit_request_body;
        limits.request.chunk_extension = count(self.limit_chunk_extension);
        limits.request.trailers = count(self.limit_trailers);
        limits.connections = self.worker_connections as usize;
        limits.queue = self.limit_queue as usize;
        limits.body_buffer = self.body_buffer;
        limits.body_memory = self.limit_body_memory;
        limits.response_memory = count(self.limit_response_memory);
        limits.response_spool = self.limit_response_spool;
        limits.spool = self.limit_spool;
        limits
    }
}

impl TimeoutFlags {
    pub(crate) fn to_deadlines(&self) -> Deadlines {
        let mut deadlines = Deadlines::default();
        deadlines.head = self.head_timeout;
        deadlines.body = self.body_timeout;
        deadlines.min_body_rate = self.min_body_rate;
        deadlines.keep_alive = self.keep_alive;
        deadlines.write = self.write_timeout;
        deadlines.min_send_rate = self.min_send_rate;
        deadlines.request = Some(self.request_timeout).filter(|timeout| !timeout.is_zero());
        deadlines.queue = self.queue_timeout;
        deadlines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Both {
        #[command(flatten)]
        limits: LimitFlags,
        #[command(flatten)]
        timeouts: TimeoutFlags,
    }

    fn parse(args: &str) -> (WorkerLimits, Deadlines) {
        let both = Both::parse_from(["x"].into_iter().chain(args.split_whitespace()));
        (both.limits.to_limits(), both.timeouts.to_deadlines())
    }

    #[test]
    fn without_flags_the_defaults_are_those_of_the_library() {
        assert_eq!(parse(""), (WorkerLimits::default(), Deadlines::default()));
    }

    #[test]
    fn every_flag_sets_its_own_number() {
        let (limits, deadlines) = parse(
            "--limit-request-line 1 --limit-request-fields 2 --limit-request-field-size 3 --limit-request-head 4 \
             --limit-request-body 5 --limit-chunk-extension 6 --limit-trailers 7 --worker-connections 8 --limit-queue 9 \
             --body-buffer 10 --limit-body-memory 11 --limit-response-memory 12 --limit-response-spool 13 --limit-spool 14 \
             --head-timeout 15 --body-timeout 16 --min-body-rate 17 --keep-alive 18 --write-timeout 19 --request-timeout 20 \
             --queue-timeout 21 --min-send-rate 22",
        );
        let request = &limits.request;
        let sizes = [request.request_line, request.header_count, request.header_field, request.head];
        assert_eq!((sizes, request.body), ([1, 2, 3, 4], 5));
        assert_eq!([request.chunk_extension, request.trailers], [6, 7]);
        assert_eq!([limits.connections, limits.queue, limits.response_memory], [8, 9, 12]);
        assert_eq!(
            [limits.body_buffer, limits.body_memory, limits.response_spool, limits.spool],
            [10, 11, 13, 14]
        );
        let seconds =
            [deadlines.head, deadlines.body, deadlines.keep_alive, deadlines.write, deadlines.queue];
        assert_eq!(seconds.map(|time| time.as_secs()), [15, 16, 18, 19, 21]);
        assert_eq!((deadlines.min_body_rate, deadlines.min_send_rate), (17, 22));
        assert_eq!(deadlines.request, Some(Duration::from_secs(20)));
    }

    #[test]
    fn every_bound_has_the_flag_that_sets_it() {
        for bound in Bound::ALL {
            let flag = flag_of(bound);
            let limits = |number: &str| {
                let (limits, deadlines) = parse(&format!("{flag} {number}"));
                format!("{limits:?} {deadlines:?}")
            };
            let field = bound.field().rsplit('.').next().unwrap();
            let changed = limits("4711");
            assert_ne!(changed, limits("4712"), "{flag}");
            assert!(
                changed.contains(&format!("{field}: 4711"))
                    || changed.contains(&format!("{field}: Some(4711")),
                "{flag}: {changed}"
            );
        }
    }

    #[test]
    fn zero_is_no_limit_where_none_makes_sense() {
        let (limits, deadlines) = parse("--limit-request-body 0 --limit-request-head 0 --limit-spool 0");
        assert_eq!((limits.request.body, limits.request.head, limits.spool), (u64::MAX, usize::MAX, 0));
        assert_eq!(deadlines.request, None);
    }
}
