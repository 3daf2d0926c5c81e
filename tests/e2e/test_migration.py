"""Does what a deployment made for gunicorn sets and sends work, or say in one sentence what to do instead?"""

import errno
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from server import free_port
from waiting import eventually
from wire import Connection, request

HELLO = """
    import os
    def application(environ, start_response):
        os.chdir("/")
        start_response("200 OK", [])
        return [b"%d" % len(environ["wsgi.input"].read())]
    """

NOBODY = 65534


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(
    "flags, mode", [((), 0o777), (("--umask", "007"), 0o770), (("-m", "0o77"), 0o700), (("--umask", "63"), 0o700)]
)
def test_a_unix_socket_has_the_mode_that_umask_says_and_not_the_process(serve, tmp_path, flags, mode):
    before = os.umask(0o022)
    try:
        server = serve(HELLO, "--bind", "unix:socket", *flags, host=None)
    finally:
        os.umask(before)
    server.address = str(tmp_path / "socket")
    server.get()
    assert mode_of(tmp_path / "socket") == mode


@pytest.fixture
def open_directory():
    """A directory that every user may enter; those of tests are their owner's."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.skipif(os.getuid() != 0, reason="only root may become another user")
@pytest.mark.parametrize("flags, works", [((), True), (("--umask", "077"), False)])
def test_another_user_may_connect_unless_umask_forbids_it(serve, open_directory, flags, works):
    path = str(open_directory / "socket")
    server = serve(HELLO, "--bind", f"unix:{path}", *flags, host=None)
    server.address = path
    server.get()
    child = os.fork()
    if child == 0:
        os._exit(connect_as_nobody(path))
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == (0 if works else errno.EACCES)


def connect_as_nobody(path: str) -> int:
    """Becomes another user for good. Returns the error of the system, 0 for none."""
    try:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        socket.socket(socket.AF_UNIX).connect(path)
    except OSError as error:
        return error.errno
    return 0


NGINX = """\
user nobody nogroup;
daemon off;
pid nginx.pid;
error_log error.log;
events {}
http {
    access_log off;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    server {
        listen 127.0.0.1:PORT;
        location / {
            proxy_pass http://unix:SOCKET;
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
        }
    }
}
"""


@pytest.mark.skipif(os.getuid() != 0 or not shutil.which("nginx"), reason="needs nginx, and root to start it as another user")
def test_nginx_under_another_user_passes_requests_on_with_the_defaults(serve, open_directory):
    server = serve(
        """
        def application(environ, start_response):
            start_response("200 OK", [])
            return [f"{environ['REMOTE_ADDR']} {environ['wsgi.url_scheme']}".encode()]
        """,
        "--bind",
        f"unix:{open_directory}/socket",
        host=None,
    )
    server.address = f"{open_directory}/socket"
    server.get()
    port = free_port()
    (open_directory / "nginx.conf").write_text(
        NGINX.replace("PORT", str(port)).replace("SOCKET", f"{open_directory}/socket")
    )
    nginx = subprocess.Popen(["nginx", "-p", str(open_directory), "-c", "nginx.conf", "-e", "error.log"])
    try:
        answer = eventually(lambda: ask(port), "nginx answers")
        assert answer.status == 200, (open_directory / "error.log").read_text()
        assert answer.body == b"127.0.0.1 http"
    finally:
        nginx.terminate()
        nginx.wait()


def ask(port: int):
    """The answer of whoever listens there, None if nobody does."""
    try:
        with Connection(("127.0.0.1", port)) as connection:
            return connection.request()
    except ConnectionRefusedError:
        return None


@pytest.mark.parametrize("prefix", ["unix:", "unix://"])
def test_a_unix_socket_may_be_relative_to_the_directory(serve, tmp_path, prefix):
    server = serve(HELLO, "--bind", f"{prefix}relative.sock", host=None)
    server.address = str(tmp_path / "relative.sock")
    assert server.get().status == 200
    server.stop()
    assert not (tmp_path / "relative.sock").exists()


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


def test_variables_that_gunicorn_reads_are_told_of(serve):
    server = serve(HELLO, env={"GUNICORN_CMD_ARGS": "--workers 2", "PORT": "5000", "WEB_CONCURRENCY": "2"})
    server.get()
    for name, instead in {
        "GUNICORN_CMD_ARGS": "give the flags in it to funicorn",
        "WEB_CONCURRENCY": "write --workers",
    }.items():
        assert server.stderr.count(f"{name} is set, and not read: {instead}") == 1
    assert "PORT is set" not in server.stderr, "--bind has the last word under gunicorn, too"


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


# which Python


def environment_with(tmp_path: Path, name: str, module: str) -> Path:
    """A virtual environment with a module in it that no other one has; its root."""
    root = tmp_path / name
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(root)], check=True)
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    (root / "lib" / version / "site-packages" / f"{module}.py").write_text(f"where = {name!r}\n")
    return root


WHERE = """
    import only_there
    def application(environ, start_response):
        start_response("200 OK", [])
        return [only_there.where.encode()]
    """


def path_with(root: Path) -> str:
    return os.pathsep.join([str(root / "bin"), os.environ["PATH"]])


@pytest.mark.parametrize("how", ["PATH", "CONDA_PREFIX", "VIRTUAL_ENV"])
def test_an_environment_is_found_however_it_is_active(serve, tmp_path, how):
    root = environment_with(tmp_path, "environment", "only_there")
    env = {"PATH": path_with(root)} if how == "PATH" else {how: str(root)}
    server = serve(WHERE, env={"VIRTUAL_ENV": "", **env})
    assert server.get().body == b"environment"
    assert f"with the packages of {root}" in server.stderr


def test_an_environment_of_another_python_on_path_is_passed_over_and_named_when_a_module_is_missing(serve, tmp_path):
    root = environment_with(tmp_path, "environment", "only_there")
    (root / "pyvenv.cfg").write_text("home = /usr/bin\nversion = 3.2.1\n")
    server = serve(WHERE, env={"VIRTUAL_ENV": "", "PATH": path_with(root)})
    assert server.wait() == 3
    assert f"Passed over: {root}/bin/python (the first python on PATH) is Python 3.2" in server.stderr
    assert "name its python with --python" in server.stderr


def test_a_missing_module_says_where_it_was_looked_for(serve, tmp_path):
    root = environment_with(tmp_path, "environment", "another_module")
    server = serve(WHERE, env={"VIRTUAL_ENV": str(root)})
    assert server.wait() == 3
    assert f"\"only_there\" was looked for among the packages of {root} (VIRTUAL_ENV)" in server.stderr


def test_a_directory_beyond_ascii_works_in_any_locale(serve, tmp_path):
    directory = tmp_path / "größe"
    directory.mkdir()
    (directory / "elsewhere.py").write_text("def application(e, s):\n    s('200 OK', [])\n    return [b'there']\n")
    env = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    for flags in (("--chdir", str(directory)), ("--pythonpath", str(directory))):
        server = serve(None, *flags, spec="elsewhere", env=env)
        assert server.get().body == b"there"
        server.stop()


@pytest.mark.parametrize("threads, warned", [("1", False), ("4", True)])
def test_an_application_patched_by_gevent_is_warned_of_threads(serve, threads, warned):
    pytest.importorskip("gevent")
    server = serve(
        """
        from gevent import monkey
        monkey.patch_all()
        import threading, time
        lock = threading.Lock()
        def application(environ, start_response):
            with lock:
                time.sleep(0.001)
            start_response("200 OK", [])
            return [b"ok"]
        """,
        "--threads",
        threads,
    )
    assert server.get().body == b"ok"
    assert ("replaced Python's threads by those of gevent" in server.stderr) == warned
    if not warned:
        connections = [server.connect() for _ in range(20)]
        for connection in connections:
            connection.send(request())
        assert {connection.response().body for connection in connections} == {b"ok"}
