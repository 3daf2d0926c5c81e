//! What becomes of a flag or a variable that gunicorn has and Funicorn has not? One sentence says what to do instead.

use std::ffi::OsString;
use std::path::Path;

use clap::builder::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{ArgMatches, Error};

/// Flags that mean the same for an operator, and what to do without them.
const FLAGS: [(&[&str], &str); 27] = [
    (
        &["-c", "--config", "--check-config", "--print-config"],
        "there is no configuration file yet; give its settings as flags, which `funicorn --help` lists",
    ),
    (
        &["-k", "--worker-class"],
        "there are no worker classes; `sync` is --threads 1 and `gthread` is --threads N, which also serves where \
         greenlets did",
    ),
    (
        &["--max-requests", "--max-requests-jitter"],
        "workers are not replaced after a number of requests yet; leave it out",
    ),
    (
        &["-t", "--timeout"],
        "calls of the application are not timed yet; --request-timeout bounds a request as a whole",
    ),
    (
        &["--reload", "--reload-engine", "--reload-extra-file"],
        "there is no reload yet; restart the server when the code has changed",
    ),
    (&["--spew"], "lines are not traced; use Python's `trace` or a debugger in the application"),
    (&["--preload"], "each worker loads the application itself; leave it out"),
    (&["--no-sendfile"], "files are always sent by the kernel; leave it out"),
    (&["--reuse-port"], "workers share their listeners; leave it out"),
    (&["--backlog"], "2048 connections may wait, as with gunicorn's default; leave it out"),
    (
        &["-D", "--daemon", "-R", "--enable-stdio-inheritance"],
        "the server stays in the foreground; let a service manager (systemd) run it",
    ),
    (&["-e", "--env"], "set the variable in front of the command: env NAME=VALUE funicorn ..."),
    (
        &["-p", "--pid"],
        "no process id is written to a file yet; a service manager knows it, and so does $! in a shell",
    ),
    (&["--worker-tmp-dir"], "there are no heartbeat files; leave it out"),
    (
        &["-u", "--user", "-g", "--group", "--initgroups"],
        "rights are not dropped yet; start the server as the user it is to run as (User= in systemd, or setpriv)",
    ),
    (
        &["--access-logformat", "--access-log-format"],
        "the access log has gunicorn's default format; leave it out",
    ),
    (
        &[
            "--log-syslog",
            "--log-syslog-to",
            "--log-syslog-prefix",
            "--log-syslog-facility",
            "--disable-redirect-access-to-syslog",
        ],
        "there is no syslog yet; a service manager collects standard error, and `logger` takes it from a pipe",
    ),
    (
        &["--capture-output"],
        "what the application prints goes where the server's own output goes; redirect that",
    ),
    (
        &["--logger-class", "--log-config", "--log-config-json"],
        "the server does not log through Python's `logging` yet; configure that in the application, for the application",
    ),
    (
        &["--statsd-host", "--statsd-prefix", "--dogstatsd-tags", "--enable-backlog-metric"],
        "there are no metrics yet; leave it out",
    ),
    (&["-n", "--name"], "processes have no titles of their own yet; leave it out"),
    (
        &["--paste", "--paster", "--paste-global"],
        "Paste files are not read yet; name the application, MODULE:APP",
    ),
    (
        &["--protocol", "--uwsgi-allow-from"],
        "HTTP is the only protocol; have the proxy speak it (proxy_pass instead of uwsgi_pass)",
    ),
    (
        &[
            "--keyfile",
            "--certfile",
            "--ca-certs",
            "--cert-reqs",
            "--ciphers",
            "--ssl-version",
            "--suppress-ragged-eofs",
            "--do-handshake-on-connect",
            "--http-protocols",
            "--http2-cleartext",
            "--http2-max-concurrent-streams",
            "--http2-initial-window-size",
            "--http2-max-frame-size",
            "--http2-max-header-list-size",
        ],
        "neither TLS nor HTTP/2 is spoken yet; put a proxy in front that speaks them, such as nginx or Caddy",
    ),
    (
        &[
            "--permit-obsolete-folding",
            "--strip-header-spaces",
            "--permit-unconventional-http-method",
            "--permit-unconventional-http-version",
            "--casefold-http-method",
        ],
        "such requests are refused, since another server could read them differently; mend the client that sends them",
    ),
    (
        &["--forwarder-headers"],
        "--forwarded-headers names the headers that a proxy sets, and --root-path the path under which the application is \
         mounted",
    ),
    (
        &[
            "--asgi-loop",
            "--asgi-lifespan",
            "--asgi-disconnect-grace-period",
            "--websocket-max-message-size",
            "--http-parser",
            "--dirty-app",
            "--dirty-workers",
            "--dirty-timeout",
            "--dirty-threads",
            "--dirty-graceful-timeout",
            "--control-socket",
            "--control-socket-mode",
            "--no-control-socket",
        ],
        "it belongs to a part of gunicorn that Funicorn does not have; leave it out",
    ),
];

/// Variables of the environment that gunicorn reads, the flag that overrides each, and what to do instead.
const VARIABLES: [(&str, Option<&str>, &str); 4] = [
    ("GUNICORN_CMD_ARGS", None, "give the flags in it to funicorn"),
    ("PORT", Some("bind"), "write --bind 0.0.0.0:$PORT"),
    ("LISTEN_FDS", Some("bind"), "write --bind fd://3 for the first socket that systemd hands over"),
    ("WEB_CONCURRENCY", Some("workers"), "write --workers $WEB_CONCURRENCY"),
];

/// The same error, unless it is about a flag that only gunicorn has: then all of these in `args` get their sentences.
pub(crate) fn explain(error: Error, args: &[OsString], command: &mut Command) -> Error {
    let Some(ContextValue::String(argument)) = error.get(ContextKind::InvalidArg) else { return error };
    if error.kind() != ErrorKind::UnknownArgument || instead_of(argument).is_none() {
        return error;
    }
    let mut sentences: Vec<String> = Vec::new();
    for (flag, instead) in args.iter().filter_map(|argument| instead_of(argument.to_str()?)) {
        let sentence = format!("{flag} is a flag of gunicorn: {instead}");
        if !sentences.contains(&sentence) {
            sentences.push(sentence);
        }
    }
    command.error(ErrorKind::UnknownArgument, sentences.join("\n       "))
}

/// The flag of gunicorn's that `argument` gives, also as `--flag=value` or `-fvalue`, and what to do instead.
fn instead_of(argument: &str) -> Option<(&'static str, &'static str)> {
    let is_short = argument.starts_with('-') && !argument.starts_with("--");
    let given = if is_short { argument.get(..2)? } else { argument.split('=').next()? };
    FLAGS.iter().find_map(|(flags, instead)| Some((*flags.iter().find(|flag| **flag == given)?, *instead)))
}

/// A warning about gunicorn's configuration, if it lies where gunicorn would have read it.
pub(crate) fn unread_file() -> Option<&'static str> {
    Path::new("gunicorn.conf.py").is_file().then_some(
        "gunicorn.conf.py is there, and not read: give its settings as flags, which `funicorn --help` lists",
    )
}

/// Warnings about the variables that are set, would have counted for gunicorn, and are not read.
pub(crate) fn unread_variables(
    matches: &ArgMatches,
    is_set: impl Fn(&str) -> bool,
) -> impl Iterator<Item = String> {
    let is_given = |flag| matches.value_source(flag) == Some(ValueSource::CommandLine);
    VARIABLES
        .into_iter()
        .filter(move |(name, flag, _)| is_set(name) && !flag.is_some_and(is_given))
        .map(|(name, _, instead)| format!("{name} is set, and not read: {instead}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::CommandFactory;

    use super::*;
    use crate::flags::Flags;

    /// Every flag of gunicorn 27.0.1.
    const ALL_OF_GUNICORN: &str = "
        -c --config -b --bind --backlog -w --workers -k --worker-class --threads --worker-connections --max-requests
        --max-requests-jitter -t --timeout --graceful-timeout --keep-alive --limit-request-line --limit-request-fields
        --limit-request-field_size --reload --reload-engine --reload-extra-file --spew --check-config --print-config
        --preload --no-sendfile --reuse-port --chdir -D --daemon -e --env -p --pid --worker-tmp-dir -u --user -g --group
        -m --umask --initgroups --forwarded-allow-ips --access-logfile --disable-redirect-access-to-syslog
        --access-logformat --error-logfile --log-file --log-level --capture-output --logger-class --log-config
        --log-config-json --log-syslog-to --log-syslog --log-syslog-prefix --log-syslog-facility -R
        --enable-stdio-inheritance --statsd-host --dogstatsd-tags --statsd-prefix --enable-backlog-metric -n --name
        --pythonpath --paste --paster --proxy-protocol --proxy-allow-from --protocol --uwsgi-allow-from --keyfile
        --certfile --ssl-version --cert-reqs --ca-certs --suppress-ragged-eofs --do-handshake-on-connect --ciphers
        --http-protocols --http2-cleartext --http2-max-concurrent-streams --http2-initial-window-size
        --http2-max-frame-size --http2-max-header-list-size --paste-global --permit-obsolete-folding
        --strip-header-spaces --permit-unconventional-http-method --permit-unconventional-http-version
        --casefold-http-method --forwarder-headers --header-map --asgi-loop --asgi-lifespan
        --asgi-disconnect-grace-period --websocket-max-message-size --http-parser --root-path --dirty-app
        --dirty-workers --dirty-timeout --dirty-threads --dirty-graceful-timeout --control-socket
        --control-socket-mode --no-control-socket";

    /// Every flag of ours, with its aliases.
    fn ours() -> BTreeSet<String> {
        let mut flags = BTreeSet::new();
        for argument in Flags::command().get_arguments() {
            flags.extend(
                argument.get_long_and_visible_aliases().into_iter().flatten().map(|long| format!("--{long}")),
            );
            flags.extend(argument.get_all_aliases().into_iter().flatten().map(|long| format!("--{long}")));
            flags.extend(argument.get_short().map(|short| format!("-{short}")));
        }
        flags
    }

    #[test]
    fn every_flag_of_gunicorn_is_ours_too_or_has_its_sentence() {
        let ours = ours();
        for flag in ALL_OF_GUNICORN.split_whitespace() {
            assert_ne!(ours.contains(flag), instead_of(flag).is_some(), "{flag}: one of the two");
        }
    }

    #[test]
    fn no_sentence_is_about_a_flag_that_nobody_has() {
        let known: BTreeSet<_> = ALL_OF_GUNICORN.split_whitespace().collect();
        // The spelling of the setting, which people try as a flag.
        let tried = ["--access-log-format"];
        for flag in FLAGS.iter().flat_map(|(flags, _)| flags.iter()) {
            assert!(known.contains(flag) || tried.contains(flag), "{flag}");
        }
    }

    #[test]
    fn a_flag_of_gunicorn_gets_its_sentence_and_any_other_claps() {
        for (arguments, expected) in [
            (["--preload", "app"], "--preload is a flag of gunicorn: each worker loads"),
            (["--certfile=x", "app"], "--certfile is a flag of gunicorn: neither TLS"),
            (["-kgthread", "app"], "-k is a flag of gunicorn: there are no worker classes"),
            (["--no-such-flag", "app"], "unexpected argument '--no-such-flag' found"),
        ] {
            let mut command = Flags::command();
            let error =
                command.try_get_matches_from_mut(["funicorn"].into_iter().chain(arguments)).unwrap_err();
            let typed: Vec<OsString> = arguments.iter().map(Into::into).collect();
            let error = explain(error, &typed, &mut command);
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(expected), "{error}");
            assert!(expected.contains("unexpected") || !error.to_string().contains("tip:"), "{error}");
        }
    }

    #[test]
    fn a_variable_that_gunicorn_reads_is_told_of_unless_a_flag_overrides_it() {
        let warnings = |arguments: &str, set: &[&str]| {
            let arguments = ["funicorn"].into_iter().chain(arguments.split(' '));
            let matches = Flags::command().get_matches_from(arguments);
            unread_variables(&matches, |name| set.contains(&name)).collect::<Vec<_>>()
        };
        let all = ["GUNICORN_CMD_ARGS", "PORT", "LISTEN_FDS", "WEB_CONCURRENCY"];
        assert_eq!(warnings("app", &[]), Vec::<String>::new());
        assert_eq!(warnings("app", &all).len(), 4);
        assert_eq!(warnings("app", &["PORT"]), ["PORT is set, and not read: write --bind 0.0.0.0:$PORT"]);
        assert_eq!(warnings("--bind :1 --workers 2 app", &all).len(), 1);
    }
}
