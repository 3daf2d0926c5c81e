//! What may stand on the command line? Flags as they are typed, and the texts of `--help`.
//!
//! Names and defaults are gunicorn's wherever it has the same flag. What the flags *mean* is in [`Config`](crate::Config).

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::{ArgAction, Parser};
use funicorn_http::{ForwardedHeaders, HeaderMap, PeerList, ProxyProtocol};
use funicorn_net::BindAddress;
use funicorn_wsgi::ApplicationSpec;

use crate::limit_flags::{LimitFlags, TimeoutFlags};
use crate::{AccessLogTarget, version};

/// Serve a WSGI application over HTTP.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "funicorn",
    override_usage = "funicorn [OPTIONS] MODULE[:APP]",
    version = version::short(),
    long_version = version::long(),
    after_help = AFTER_HELP,
    disable_version_flag = true,
    args_override_self = true,
    max_term_width = 100
)]
#[non_exhaustive]
pub struct Flags {
    /// The application: a module, and in it an attribute (app, site.wsgi.application) or a call with literal
    /// arguments (create_app("prod")). Without :APP it is `application`, else `app`.
    #[arg(value_name = "MODULE[:APP]", value_parser = parse::<ApplicationSpec>)]
    pub application: ApplicationSpec,

    /// Print the versions of Funicorn, of Python and of the build.
    #[arg(short = 'V', short_alias = 'v', long, action = ArgAction::Version)]
    version: Option<bool>,

    /// Where to listen.
    #[arg(help = "Where to listen: HOST:PORT, [IPV6]:PORT, unix:PATH or fd://N. May be given several times")]
    #[arg(short, long, value_name = "ADDRESS", default_value = "127.0.0.1:8000", help_heading = "Serving")]
    #[arg(value_parser = parse::<BindAddress>)]
    pub bind: Vec<BindAddress>,

    /// Bits to take out of the mode of Unix sockets: 007 lets only their owner and their group connect.
    #[arg(short = 'm', long, value_name = "BITS", default_value = "0", help_heading = "Serving")]
    #[arg(value_parser = parse_umask)]
    pub umask: u32,

    /// Processes that serve. One that dies is replaced.
    #[arg(short, long, value_name = "N", default_value_t = 1, help_heading = "Serving")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    pub workers: u16,

    /// Threads per worker, each of which runs one request at a time.
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Serving")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: u16,

    /// How long requests in flight may take to finish after TERM.
    #[arg(long, value_name = "SECONDS", default_value = "30", help_heading = "Serving")]
    #[arg(value_parser = parse_seconds)]
    pub graceful_timeout: Duration,

    /// Change to this directory first. Modules are imported from the current directory.
    #[arg(long, value_name = "DIR", help_heading = "Application")]
    pub chdir: Option<PathBuf>,

    /// Directories to put in front of sys.path, separated by colons or commas. May be given several times.
    #[arg(long, value_name = "DIRS", help_heading = "Application")]
    pub pythonpath: Vec<OsString>,

    /// The python whose environment to use, instead of that of $FUNICORN_PYTHON, $VIRTUAL_ENV, $CONDA_PREFIX or
    /// the python on $PATH.
    #[arg(long, value_name = "PATH", help_heading = "Application")]
    pub python: Option<PathBuf>,

    /// The path under which the application is mounted (SCRIPT_NAME).
    #[arg(
        long,
        value_name = "/PATH",
        default_value = "",
        hide_default_value = true,
        help_heading = "Application"
    )]
    #[arg(value_parser = parse_root_path)]
    pub root_path: String,

    /// Keep PEP 3333's letter about statuses and headers of the application: hop-by-hop headers, headers that are no list of
    /// tuples and statuses without a reason are errors, instead of being dropped or taken and logged once.
    #[arg(long, help_heading = "Application")]
    pub strict_headers: bool,

    /// Proxies whose forwarding headers count: IP addresses, ranges such as 10.0.0.0/8, unix, or * for
    /// whoever connects, separated by commas. Each address in X-Forwarded-For that is one of them is
    /// passed over.
    #[arg(long, value_name = "PEERS", default_value = PEERS, help_heading = "Proxies")]
    #[arg(env = "FORWARDED_ALLOW_IPS", value_parser = parse::<PeerList>)]
    pub forwarded_allow_ips: PeerList,

    /// The forwarding headers that these proxies set: x-forwarded-for, -proto, -host, -port, -prefix (with
    /// their whole names), or forwarded (RFC 7239) alone. Name none that they only pass on.
    #[arg(long, value_name = "NAMES", default_value = "x-forwarded-for,x-forwarded-proto")]
    #[arg(help_heading = "Proxies", value_parser = parse::<ForwardedHeaders>)]
    pub forwarded_headers: ForwardedHeaders,

    /// Expect a PROXY protocol header on each connection of --proxy-allow-from: off, v1, v2 or auto (either;
    /// also without a value).
    #[arg(long, value_name = "VERSION", default_value = "off", default_missing_value = "auto")]
    #[arg(num_args = 0..=1, require_equals = true, help_heading = "Proxies")]
    #[arg(value_parser = parse::<ProxyProtocol>)]
    pub proxy_protocol: ProxyProtocol,

    /// Peers that send the PROXY protocol header, each on every connection. Others speak plain HTTP.
    #[arg(long, value_name = "PEERS", default_value = PEERS, help_heading = "Proxies")]
    #[arg(value_parser = parse::<PeerList>)]
    pub proxy_allow_from: PeerList,

    /// Headers with _ in their names, which could pass for others with -: drop them, refuse the request, or
    /// map them (dangerous).
    #[arg(long, value_name = "drop|refuse|dangerous", default_value = "drop", help_heading = "Proxies")]
    #[arg(value_parser = parse::<HeaderMap>)]
    pub header_map: HeaderMap,

    #[command(flatten)]
    pub(crate) limits: LimitFlags,

    #[command(flatten)]
    pub(crate) timeouts: TimeoutFlags,

    /// Log each request to this file (- is standard output), in gunicorn's default format. USR1 opens it anew.
    #[arg(long, value_name = "PATH", help_heading = "Logging")]
    #[arg(value_parser = parse::<AccessLogTarget>)]
    pub access_logfile: Option<AccessLogTarget>,

    /// Where everything else is logged: - (standard error), and nowhere else.
    #[arg(long, visible_alias = "log-file", value_name = "-", help_heading = "Logging")]
    #[arg(value_parser = parse_error_log)]
    pub(crate) error_logfile: Option<()>,

    /// What to log on standard error: error, warning, info, debug or trace (the way of each request through the
    /// layers), and what is graver.
    #[arg(long, value_name = "LEVEL", default_value = "info", ignore_case = true, help_heading = "Logging")]
    #[arg(value_parser = PossibleValuesParser::new(["error", "warning", "info", "debug", "trace", "critical"]), hide_possible_values = true)]
    pub log_level: String,
}

/// Those of this machine, as text.
const PEERS: &str = "127.0.0.1,::1,unix";

const AFTER_HELP: &str = "\
Signals: TERM stops when the requests in flight are finished, INT and QUIT without waiting for them;
a second signal ends at once.

Exit codes: 0 stopped as told, 1 internal error, 2 wrong flag, 3 the application cannot be loaded,
4 an address cannot be listened at, 5 the Python environment is unusable, 130 or 143 ended by a
second INT or TERM.

Examples:
  funicorn app
  funicorn --bind 0.0.0.0:80 --workers 4 --threads 8 shop.wsgi
  funicorn --bind unix:/run/shop.sock 'shop:create_app(\"prod\", debug=False)'";

/// `FromStr`, as clap wants it: with the error as a sentence.
fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| error.to_string())
}

pub(crate) fn parse_seconds(text: &str) -> Result<Duration, String> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let seconds: Option<f64> = text.parse().ok().filter(|_| plain);
    let duration = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    // A week is as good as for ever, and can be added to any clock.
    let longest = Duration::from_secs(7 * 24 * 3600);
    duration
        .filter(|&duration| duration <= longest)
        .ok_or_else(|| "write a number of seconds, for example 30".to_owned())
}

/// Many command lines made for gunicorn say what holds anyway.
fn parse_error_log(text: &str) -> Result<(), String> {
    let sentence = "the log goes to standard error; append it to a file with 2>>FILE";
    if text == "-" { Ok(()) } else { Err(sentence.to_owned()) }
}

/// An octal number, in gunicorn's spellings: `007`, `0o7`; also `0x7`, and a decimal one without a zero in front.
fn parse_umask(text: &str) -> Result<u32, String> {
    let lower = text.to_ascii_lowercase();
    let (digits, radix) = if let Some(digits) = lower.strip_prefix("0x") {
        (digits, 16)
    } else if let Some(digits) = lower.strip_prefix("0o") {
        (digits, 8)
    } else if lower.len() > 1 && lower.starts_with('0') {
        (&lower[1..], 8)
    } else {
        (lower.as_str(), 10)
    };
    let is_number = digits.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let umask = u32::from_str_radix(digits, radix).ok().filter(|umask| is_number && *umask <= 0o777);
    umask.ok_or_else(|| "write the bits as an octal number from 000 to 0777, for example 007".to_owned())
}

/// A path without a slash at its end, so that it can be compared with the beginnings of others.
fn parse_root_path(text: &str) -> Result<String, String> {
    let path = text.trim_end_matches('/');
    if path.is_empty() || (path.starts_with('/') && !path.contains(['?', '#'])) {
        return Ok(path.to_owned());
    }
    Err("write a path that begins with a slash, for example /shop".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_flags_are_consistent() {
        Flags::command().debug_assert();
    }

    #[test]
    fn seconds() {
        assert_eq!(parse_seconds("30"), Ok(Duration::from_secs(30)));
        assert_eq!(parse_seconds("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_seconds("0"), Ok(Duration::ZERO));
        for text in ["", "-1", "+1", "1e3", "inf", "nan", "x", "1s", "999999999"] {
            assert!(parse_seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn umasks() {
        for (text, umask) in
            [("0", 0), ("007", 7), ("0o22", 0o22), ("022", 0o22), ("0x1f", 31), ("18", 18), ("0777", 0o777)]
        {
            assert_eq!(parse_umask(text), Ok(umask), "{text}");
        }
        for text in ["", "-1", "+7", "08", "01000", "0x", "x", "rwx", "0o"] {
            assert!(parse_umask(text).is_err(), "{text}");
        }
    }

    #[test]
    fn root_paths() {
        for (text, path) in [("", ""), ("/", ""), ("/shop", "/shop"), ("/a/b/", "/a/b")] {
            assert_eq!(parse_root_path(text).as_deref(), Ok(path));
        }
        for text in ["shop", "/a?b", "http://x/"] {
            assert!(parse_root_path(text).is_err(), "{text}");
        }
    }
}
