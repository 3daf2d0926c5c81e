"""Who may connect to a Unix socket? The proxy, which runs as another user."""

import errno
import json
import os
import shutil
import socket
import stat
import subprocess
import tempfile
from pathlib import Path

import pytest
from server import Server, free_port
from waiting import eventually
from wire import Connection

NOBODY = 65534
needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can be another user")

REPORT = """
    import json, os
    open("written", "w").close()
    def application(environ, start_response):
        start_response("200 OK", [])
        found = {name: environ.get(name) for name in ("REMOTE_ADDR", "wsgi.url_scheme", "HTTP_HOST")}
        found["umask"] = os.umask(0o22)
        return [json.dumps(found).encode()]
    """


@pytest.fixture
def public():
    """A directory that every user may enter."""
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        yield Path(directory)


@pytest.fixture(autouse=True)
def usual_umask():
    before = os.umask(0o22)
    yield
    os.umask(before)


def connect_as(user: int, path: Path) -> int:
    """What connect(2) says to a process of this user: 0, or the number of its error."""
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)
        with socket.socket(socket.AF_UNIX) as client:
            os._exit(client.connect_ex(str(path)))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def serve_at(serve, path: Path, *flags: str) -> Server:
    server = serve(REPORT, "--bind", f"unix:{path}", *flags, host=None)
    server.address = str(path)
    server.get()
    return server


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@needs_root
def test_another_user_may_connect(serve, public):
    serve_at(serve, public / "app.sock")
    assert mode(public / "app.sock") == 0o777
    assert connect_as(NOBODY, public / "app.sock") == 0


@needs_root
def test_umask_shuts_others_out(serve, public):
    serve_at(serve, public / "app.sock", "--umask", "007")
    assert mode(public / "app.sock") == 0o770
    assert connect_as(NOBODY, public / "app.sock") == errno.EACCES


@pytest.mark.parametrize("flags, expected", [((), 0o777), (("-m", "0o77"), 0o700), (("--umask", "18"), 0o755)])
def test_umask_is_for_sockets_and_for_nothing_else(serve, tmp_path, flags, expected):
    server = serve_at(serve, tmp_path / "app.sock", "--access-logfile", "access.log", *flags)
    assert mode(tmp_path / "app.sock") == expected
    assert json.loads(server.get().body)["umask"] == 0o22
    assert mode(tmp_path / "access.log") == mode(tmp_path / "written") == 0o644


@pytest.mark.parametrize("value", ["-1", "01000", "u=rw", ""])
def test_what_is_no_umask_is_a_wrong_flag(serve, value):
    server = serve(REPORT, f"--umask={value}")
    assert server.wait() == 2 and "--umask" in server.stderr


def test_two_slashes_are_no_part_of_the_path(serve, tmp_path):
    relative = serve(REPORT, "--bind", "unix://relative.sock", host=None)
    relative.address = str(tmp_path / "relative.sock")
    assert relative.get().status == 200
    absolute = serve(REPORT, "--bind", f"unix://{tmp_path}/absolute.sock", host=None)
    absolute.address = str(tmp_path / "absolute.sock")
    assert absolute.get().status == 200


NGINX = """
    user nobody;
    daemon off;
    worker_processes 1;
    pid {directory}/nginx.pid;
    error_log stderr;
    events {{}}
    http {{
        access_log off;
        client_body_temp_path {directory}/body;
        proxy_temp_path {directory}/proxy;
        fastcgi_temp_path {directory}/fastcgi;
        uwsgi_temp_path {directory}/uwsgi;
        scgi_temp_path {directory}/scgi;
        upstream app {{ server unix:{socket}; }}
        server {{
            listen 127.0.0.1:{port};
            location / {{
                proxy_pass http://app;
                proxy_set_header Host $host;
                proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
                proxy_set_header X-Forwarded-Proto $scheme;
            }}
        }}
    }}
    """


@needs_root
@pytest.mark.skipif(shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin") is None, reason="there is no nginx")
def test_nginx_of_another_user_reaches_the_application_with_the_defaults(serve, public):
    """The configuration is that of docs/proxies.md."""
    serve_at(serve, public / "app.sock")
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    group = "\n".join(Path("/etc/group").read_text().splitlines())
    user = "user nobody nogroup;" if "nogroup:" in group else "user nobody;"
    port = free_port()
    text = NGINX.replace("user nobody;", user).format(directory=public, socket=public / "app.sock", port=port)
    (public / "nginx.conf").write_text(text)
    log = (public / "nginx.log").open("wb")
    with subprocess.Popen([nginx, "-e", "stderr", "-p", public, "-c", public / "nginx.conf"], stderr=log) as process:

        def connection():
            try:
                return Connection(("127.0.0.1", port))
            except ConnectionRefusedError:
                assert process.poll() is None, (public / "nginx.log").read_text()
                return None

        try:
            with eventually(connection, "nginx listens") as client:
                response = client.request("GET", "/", (("X-Forwarded-For", "192.0.2.7"),))
                assert response.status == 200, (response, (public / "nginx.log").read_text())
        finally:
            process.terminate()
    found = json.loads(response.body)
    assert (found["REMOTE_ADDR"], found["wsgi.url_scheme"]) == ("192.0.2.7", "http")
