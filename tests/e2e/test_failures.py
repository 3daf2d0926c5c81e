"""What does the command say when it cannot serve? One clear message, a code of its own, and no process left behind."""

import os
import re
import signal
import socket
import subprocess
import sys
import time

import pytest
from server import command, environment, free_port
from waiting import DEADLINE, eventually

HELLO = """
    def application(environ, start_response):
        start_response("200 OK", [])
        return [b"hello"]
    """

USAGE, APPLICATION, BIND, PYTHON = 2, 3, 4, 5

BAD_APPLICATIONS = {
    "a missing module": ("", "nowhere", ["nowhere"]),
    "a missing module in a package": ("", "app.nowhere:app", ["app"]),
    "a missing attribute": (HELLO, "app:nowhere", ["nowhere", "app"]),
    "neither application nor app": ("x = 1", "app", ["application", "app"]),
    "a missing attribute of an attribute": (HELLO, "app:application.nowhere", ["nowhere"]),
    "not callable": ("application = 7", "app:application", ["application", "callable"]),
    "a coroutine function": ("async def application(scope, receive, send): pass", "app:application", ["ASGI"]),
    "an object with a coroutine call": (
        "class App:\n    async def __call__(self, scope, receive, send): pass\napplication = App()",
        "app:application",
        ["ASGI"],
    ),
    "an exception at import": (
        "def f():\n    raise KeyError('odd')\nf()",
        "app",
        ["Traceback", "KeyError: 'odd'", 'app.py", line 2'],
    ),
    "a module that is missing for the application": ("import nowhere_else", "app", ["nowhere_else", 'app.py", line 1']),
    "a syntax error": ("def application(:", "app", ["SyntaxError", "app.py"]),
    "sys.exit at import": ("import sys; sys.exit(0)", "app", ["SystemExit"]),
    "KeyboardInterrupt at import": ("raise KeyboardInterrupt", "app", ["KeyboardInterrupt"]),
    "a factory that raises": (
        "def create():\n    raise ValueError('from the factory')",
        "app:create()",
        ["from the factory"],
    ),
    "a factory that returns nothing": ("def create(): pass", "app:create()", ["create"]),
    "a factory with wrong arguments": ("def create(): pass", "app:create(1)", ["create"]),
    "a factory that is none": ("create = 7", "app:create()", ["create", "callable"]),
}


def end(server):
    """The exit code and the message, once the server has ended and left nothing."""
    code = server.wait()
    assert server.tree() == []
    assert "panicked" not in server.stderr
    return code, server.stderr


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("name", BAD_APPLICATIONS)
def test_an_application_that_cannot_be_loaded(serve, name, workers):
    source, spec, words = BAD_APPLICATIONS[name]
    code, message = end(serve(source, "--workers", workers, spec=spec))
    assert code == APPLICATION
    for word in words:
        assert word in message
    if workers == "1":
        assert message.count("[ERROR]") <= 2
        assert len(re.findall("Traceback", message)) <= 1


def test_an_import_that_fails_ends_the_server_at_once(serve, tmp_path):
    """No other worker is tried in its place, nor is one waited for that is importing still."""
    os.mkfifo(tmp_path / "never-opened")
    server = serve(
        """
        open("loads", "a").write("x")
        try:
            open("first", "x")
        except FileExistsError:
            open("never-opened").read()
        raise ValueError
        """,
        "--workers",
        "2",
    )
    code, _ = end(server)
    assert code == APPLICATION
    assert len(server.note("loads")) <= 2


def test_the_traceback_of_the_application_has_no_frames_of_the_server(serve):
    _, message = end(serve("raise ValueError('at import')"))
    assert "importlib" not in message and "ValueError: at import" in message


def test_os_exit_at_import_is_no_endless_loop(serve):
    """A worker that dies in the import is retried with back-off or ends the server; in no case is it forked at full speed."""
    began = time.monotonic()
    server = serve("import os\nopen('loads', 'a').write('x')\nos._exit(9)")
    eventually(lambda: len(server.note("loads")) >= 4 or server.process.poll() is not None, "the import is tried again")
    server.signal(signal.SIGTERM)
    server.wait()
    # A tenth of a second before the second try, and twice as long before each further one.
    pauses = 0.1 * (2 ** (len(server.note("loads")) - 1) - 1)
    assert pauses <= time.monotonic() - began
    assert server.tree() == []


def test_a_port_in_use(serve):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = "127.0.0.1:%d" % taken.getsockname()[1]
        code, message = end(serve(HELLO, "--bind", address, host=None))
    assert code == BIND
    assert address in message and "in use" in message
    assert len(message.strip().splitlines()) <= 3


def test_a_unix_socket_in_use(serve, tmp_path):
    with socket.socket(socket.AF_UNIX) as taken:
        taken.bind(str(tmp_path / "socket"))
        taken.listen()
        code, message = end(serve(HELLO, "--bind", "unix:socket", host=None))
        assert code == BIND and "socket" in message
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(tmp_path / "socket"))  # its owner still has it


def test_a_file_in_the_place_of_a_unix_socket_is_left_alone(serve, tmp_path):
    (tmp_path / "precious").write_text("data")
    code, message = end(serve(HELLO, "--bind", "unix:precious", host=None))
    assert code == BIND and "precious" in message
    assert (tmp_path / "precious").read_text() == "data"


def test_an_address_of_another_machine(serve):
    code, message = end(serve(HELLO, "--bind", f"192.0.2.1:{free_port()}", host=None))
    assert code == BIND and "192.0.2.1" in message


def test_a_host_without_an_address(serve):
    code, message = end(serve(HELLO, "--bind", "no-such-host.invalid:8000", host=None))
    assert code == BIND and "no-such-host.invalid" in message


def test_a_unix_socket_in_a_folder_that_does_not_exist(serve):
    code, message = end(serve(HELLO, "--bind", "unix:nowhere/socket", host=None))
    assert code == BIND and "nowhere/socket" in message


@pytest.mark.parametrize("number", ["99", "1"])
def test_a_descriptor_that_is_no_listening_socket(serve, number):
    code, message = end(serve(HELLO, "--bind", f"fd://{number}", host=None))
    assert code == BIND and f"fd://{number}" in message


@pytest.mark.skipif(os.geteuid() == 0, reason="root may bind every port")
def test_a_port_without_rights(serve):
    code, message = end(serve(HELLO, "--bind", "127.0.0.1:1", host=None))
    assert code == BIND and "127.0.0.1:1" in message


@pytest.mark.parametrize(
    "flags",
    [
        ["--no-such-flag"],
        ["--workers", "0"],
        ["--workers", "many"],
        ["--workers", "-1"],
        ["--threads", "0"],
        ["--threads"],
        ["--bind", "nonsense"],
        ["--bind", "127.0.0.1:99999"],
        ["--bind", "fd://x"],
        ["--limit-request-body", "-1"],
        ["--limit-request-body", "lots"],
        ["--graceful-timeout", "soon"],
        ["--root-path", "no-slash"],
        ["--chdir", "nowhere"],
        ["--spool-dir", "nowhere"],
    ],
)
def test_a_wrong_flag(serve, flags):
    code, message = end(serve(HELLO, *flags))
    assert code == USAGE
    assert flags[-1] in message or flags[0] in message


def test_two_applications(serve):
    code, message = end(serve(HELLO, "another:app"))
    assert code == USAGE and "app:application" in message


@pytest.mark.parametrize(
    "spec", ["", ":app", "app:", "app:1x", "app:f(", "app:f(x)", "app:f(1 + 1)", "app:f(*[1])", "a b", "app:f()()"]
)
def test_an_application_that_is_no_name_and_no_call(serve, spec):
    code, _ = end(serve(HELLO, spec=spec))
    assert code in (USAGE, APPLICATION)


def test_a_directory_that_cannot_be_read(serve, tmp_path):
    (tmp_path / "closed").mkdir(mode=0o000)
    if os.geteuid() == 0:
        pytest.skip("root may read every directory")
    code, message = end(serve(HELLO, "--chdir", "closed"))
    assert code == USAGE and "closed" in message


def virtual_environment(path, version):
    """A folder that looks like a virtual environment for another Python."""
    (path / "bin").mkdir(parents=True)
    (path / "pyvenv.cfg").write_text(f"home = /usr/bin\nversion = {version}\n")
    (path / "bin" / "python").symlink_to(sys.executable)
    return path


def test_a_virtual_environment_for_another_python_is_refused(serve, tmp_path):
    other = virtual_environment(tmp_path / "other", "3.8.1")
    code, message = end(serve(HELLO, env={"VIRTUAL_ENV": str(other)}))
    assert code == PYTHON
    assert "3.8" in message and "%d.%d" % sys.version_info[:2] in message and str(other) in message


def test_a_virtual_environment_that_is_gone(serve, tmp_path):
    code, message = end(serve(HELLO, env={"VIRTUAL_ENV": str(tmp_path / "gone")}))
    assert code == PYTHON and str(tmp_path / "gone") in message


def run(*arguments):
    return subprocess.run(
        [*command(), *arguments],
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )


def test_without_arguments_it_says_what_is_missing():
    result = run()
    assert result.returncode == USAGE and "MODULE" in result.stderr


def test_version_says_what_runs():
    result = run("--version")
    assert (result.returncode, result.stderr) == (0, "")
    assert re.match(r"funicorn \d+\.\d+\.\d+", result.stdout)
    assert "%d.%d.%d" % sys.version_info[:3] in result.stdout


def test_help_names_every_flag():
    result = run("--help")
    assert (result.returncode, result.stderr) == (0, "")
    for flag in ["--bind", "--workers", "--threads", "--chdir", "--pythonpath", "--graceful-timeout", "--access-logfile",
                 "--limit-request-body", "--spool-dir", "--root-path", "--strict-headers", "--version",
                 "--forwarded-allow-ips", "--forwarded-headers", "--proxy-protocol", "--proxy-allow-from",
                 "--header-map"]:  # fmt: skip
        assert flag in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 100
