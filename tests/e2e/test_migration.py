"""Does what a deployment made for gunicorn sets and sends work, or say in one sentence what to do instead?"""

import re

import pytest

HELLO = """
    import os
    def application(environ, start_response):
        os.chdir("/")
        start_response("200 OK", [])
        return [b"%d" % len(environ["wsgi.input"].read())]
    """

@pytest.mark.parametrize("how", ["flag", "variable", "chdir"])
def test_large_uploads_wait_where_they_should_though_the_application_changes_the_directory(serve, tmp_path, how):
    (tmp_path / "inner" / "spool").mkdir(parents=True)
    if how != "chdir":
        (tmp_path / "spool").mkdir()
    flags = {"flag": ("--spool-dir", "spool"), "variable": (), "chdir": ("--chdir", "inner", "--spool-dir", "spool")}
    env = {"TMPDIR": "spool"} if how == "variable" else None
    server = serve(HELLO, "--pythonpath", str(tmp_path), *flags[how], env=env)
    server.get()
    large = server.request("POST", "/", (), bytes(300 << 10))
    assert (large.status, large.body) == (200, b"%d" % (300 << 10))


@pytest.mark.parametrize("peers", ["127.0.0.1,", " , 127.0.0.1 ,", ","])
def test_a_comma_too_many_in_forwarded_allow_ips_does_no_harm(serve, peers):
    server = serve(HELLO, env={"FORWARDED_ALLOW_IPS": peers})
    assert server.get().status == 200


def test_what_gunicorn_would_have_read_is_told_of(serve, tmp_path):
    (tmp_path / "gunicorn.conf.py").write_text("workers = 8\n")
    server = serve(HELLO, env={"GUNICORN_CMD_ARGS": "--workers 2", "PORT": "5000", "WEB_CONCURRENCY": "2"})
    server.get()
    told = re.findall(r"\[WARNING\] (\S+) is (?:set|there), and not read: ", server.stderr)
    assert told == ["GUNICORN_CMD_ARGS", "WEB_CONCURRENCY", "gunicorn.conf.py"], "--bind stands in the place of PORT"


def test_every_flag_of_gunicorn_is_ours_too_or_has_its_sentence(serve):
    """All at once, as on a command line that is tried for the first time."""
    config = pytest.importorskip("gunicorn.config")
    flags = [flag for setting in config.KNOWN_SETTINGS for flag in setting.cli or ()]
    takes_value = {
        flag
        for setting in config.KNOWN_SETTINGS
        for flag in setting.cli or ()
        if setting.action not in ("store_true", "store_const")
    }
    ours = serve(HELLO, "--help")
    assert ours.wait() == 0
    known = {"--limit-request-field_size", *re.findall(r"(?<![\w-])--?[a-zA-Z][\w-]*", ours.stdout)}
    server = serve(HELLO, *(part for flag in flags for part in ([flag, "1"] if flag in takes_value else [flag])))
    assert server.wait() == 2
    told = set(re.findall(r"(\S+) is a flag of gunicorn: ", server.stderr))
    assert set(flags) - known == told
    assert "tip:" not in server.stderr and "unexpected argument" not in server.stderr


@pytest.mark.parametrize(
    "flags, sentence",
    [
        (("--preload",), "--preload is a flag of gunicorn: each worker loads the application itself"),
        (("--certfile", "x"), "--certfile is a flag of gunicorn: neither TLS nor HTTP/2"),
        (("-k", "gthread"), "-k is a flag of gunicorn: there are no worker classes"),
        (("-c", "gunicorn.conf.py"), "-c is a flag of gunicorn: there is no configuration file yet"),
        (("-t", "60"), "-t is a flag of gunicorn: calls of the application are not timed yet"),
    ],
)
def test_a_flag_that_only_gunicorn_has_gets_a_sentence_of_its_own(serve, flags, sentence):
    server = serve(HELLO, *flags)
    assert server.wait() == 2
    assert sentence in server.stderr
    assert "tip:" not in server.stderr


def test_the_last_of_a_repeated_flag_counts(serve):
    server = serve(HELLO, "-w", "3", "-w", "1", "--threads", "4", "--threads", "1")
    server.get()
    assert len(server.tree()) == 2


@pytest.mark.parametrize("flag", ["--log-file", "--error-logfile"])
def test_a_log_on_standard_error_may_be_asked_for_and_another_gets_a_sentence(serve, flag):
    server = serve(HELLO, flag, "-")
    assert server.get().status == 200
    server.wait_for_log("is ready")
    refused = serve(None, flag, "error.log")
    assert refused.wait() == 2
    assert "the log goes to standard error; append it to a file with 2>>FILE" in refused.stderr


@pytest.mark.parametrize("flag", ["-v", "-V", "--version"])
def test_the_version_is_told(serve, flag):
    server = serve(HELLO, flag)
    assert server.wait() == 0 and server.stdout.startswith("funicorn ")


def test_an_empty_tmpdir_is_none(serve):
    assert serve(HELLO, env={"TMPDIR": ""}).request("POST", "/", (), bytes(400_000)).status == 200


def test_other_relative_paths_stay_where_they_were_too(serve, tmp_path):
    server = serve(HELLO, "--bind", "unix:app.sock", "--access-logfile", "access.log", "--pythonpath", ".", host=None)
    server.address = str(tmp_path / "app.sock")
    assert server.get().status == 200
    server.stop()
    assert not (tmp_path / "app.sock").exists()
    assert (tmp_path / "access.log").read_text().count("\n") == 1
