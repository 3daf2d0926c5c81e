"""What does the command serve, and where does it listen? Applications, addresses, environment."""

import ast
import os
import sys
from pathlib import Path

import pytest
from server import command, free_port
from waiting import eventually

HELLO = """
    def application(environ, start_response):
        start_response("200 OK", [])
        return [b"hello"]
    """

#: Answers with the value of the expression in X-Expression.
EVALUATE = """
    import os, sys
    def application(environ, start_response):
        start_response("200 OK", [])
        return [repr(eval(environ["HTTP_X_EXPRESSION"])).encode()]
    """


def evaluate(server, expression):
    return ast.literal_eval(server.get("/", ("X-Expression", expression)).body.decode())


APPLICATIONS = """
    def answer(text):
        def application(environ, start_response):
            start_response("200 OK", [])
            return [text.encode()]
        return application
    class site:
        class wsgi:
            application = staticmethod(answer("nested"))
    class Callable:
        def __call__(self, environ, start_response):
            return answer("instance")(environ, start_response)
    class Class:
        "The class itself is the application; calling it makes the iterable."
        def __init__(self, environ, start_response):
            start_response("200 OK", [])
        def __iter__(self):
            yield b"class"
    instance = Callable()
    application = answer("application")
    app = answer("app")
    def create_app(name="default", debug=True, sizes=()):
        return answer(f"{name} {debug} {sizes}")
    """


@pytest.mark.parametrize(
    "spec, body",
    [
        ("app", "application"),
        ("app:app", "app"),
        ("app:application", "application"),
        ("app:site.wsgi.application", "nested"),
        ("app:instance", "instance"),
        ("app:Class", "class"),
        ("app:create_app()", "default True ()"),
        ("app:create_app('prod', debug=False)", "prod False ()"),
        ('app:create_app("a b", sizes=(1, -2.5, None))', "a b True (1, -2.5, None)"),
    ],
)
def test_the_application_is_found(serve, spec, body):
    assert serve(APPLICATIONS, spec=spec).get().body.decode() == body


def test_without_application_the_name_app_is_taken(serve):
    assert serve(HELLO.replace("application", "app"), spec="app").get().body == b"hello"


def test_a_module_in_a_package_is_found(serve, tmp_path):
    package = tmp_path / "shop" / "web"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").write_text("")
    (package / "__init__.py").write_text("")
    (package / "wsgi.py").write_text("from . import views\napplication = views.application\n")
    (package / "views.py").write_text(
        'def application(environ, start_response):\n    start_response("200 OK", [])\n    return [__name__.encode()]\n'
    )
    assert serve(None, spec="shop.web.wsgi:application").get().body == b"shop.web.views"


def test_chdir_is_where_modules_are_imported_from(serve, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "other.py").write_text(
        "import os\ndef application(environ, start_response):\n    start_response('200 OK', [])\n"
        "    return [os.getcwd().encode()]\n"
    )
    assert serve(None, "--chdir", "elsewhere", spec="other").get().body.decode() == str(tmp_path / "elsewhere")


def test_pythonpath_comes_first(serve, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "which.py").write_text(f"name = {name!r}\n")
    (tmp_path / "which.py").write_text("name = 'here'\n")
    server = serve(EVALUATE, "--pythonpath", "one:two")
    assert evaluate(server, "__import__('which').name") == "one"


def test_pythonpath_may_be_given_twice(serve, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.py").write_text("")
    server = serve(EVALUATE, "--pythonpath", "one", "--pythonpath", str(tmp_path / "two"))
    assert evaluate(server, "[__import__('one').__name__, __import__('two').__name__]") == ["one", "two"]


def test_the_current_directory_is_importable_and_sys_path_has_no_oddities(serve, tmp_path):
    path = evaluate(serve(EVALUATE), "sys.path")
    assert os.path.realpath(path[0] or tmp_path) == os.path.realpath(tmp_path)
    assert all(isinstance(entry, str) for entry in path)
    assert [entry for entry in path if entry.endswith("site-packages") and entry.startswith(sys.prefix)]


def test_the_active_virtual_environment_is_used(serve):
    server = serve(EVALUATE)
    assert evaluate(server, "sys.prefix") == sys.prefix
    assert evaluate(server, "sys.base_prefix") == sys.base_prefix
    assert evaluate(server, "sys.version_info[:2]") == sys.version_info[:2]
    assert evaluate(server, "__import__('flask').__name__") == "flask"


def test_sys_executable_is_a_python(serve):
    executable = evaluate(serve(EVALUATE), "sys.executable")
    assert Path(executable).parent == Path(sys.prefix, "bin")
    assert Path(executable).name.startswith("python")


def test_sys_argv_is_the_command_line(serve):
    server = serve(EVALUATE)
    argv = evaluate(server, "sys.argv")
    assert os.path.basename(argv[0]) == os.path.basename(command()[-1])
    assert argv[1:] == server.process.args[len(command()) :]


def test_the_application_is_loaded_on_the_main_thread(serve):
    server = serve("""
        import signal, threading
        loaded_on_main = threading.current_thread() is threading.main_thread()
        signal.signal(signal.SIGUSR1, lambda *_: open("handled", "w").write("x"))
        def application(environ, start_response):
            start_response("200 OK", [])
            return [str(loaded_on_main).encode(), b" ", str(__import__("os").getpid()).encode()]
        """)
    loaded_on_main, pid = server.get().body.split()
    assert loaded_on_main == b"True"
    os.kill(int(pid), 10)
    # Python runs its handlers between two instructions of the main thread: at the latest in the next call.
    eventually(lambda: server.get().status == 200 and server.note("handled") == "x", "the application's signal handler")


def test_two_workers_are_two_processes(serve):
    server = serve(EVALUATE, "--workers", "2")
    eventually(lambda: len({evaluate(server, "os.getpid()") for _ in range(10)}) == 2, "both workers answer")
    assert {evaluate(server, "os.getppid()") for _ in range(10)} == {server.pid}


def test_environment_variables_reach_the_application(serve):
    server = serve(EVALUATE, env={"SOME_SETTING": "caf\xe9"})
    assert evaluate(server, "os.environ['SOME_SETTING']") == "caf\xe9"


def test_a_port_of_its_own(serve):
    server = serve(HELLO, "--bind", f"127.0.0.1:{(port := free_port())}", host=None)
    server.address = ("127.0.0.1", port)
    assert server.get().body == b"hello"
    server.wait_for_log(f"127.0.0.1:{port}")


def test_port_0_is_logged_with_the_port_that_was_taken(serve):
    server = serve(HELLO, "--bind", "127.0.0.1:0", host=None)
    server.wait_for_log("listening at http://127.0.0.1:")
    line = next(line for line in server.stderr.splitlines() if "listening at" in line)
    server.address = ("127.0.0.1", int(line.rpartition(":")[2].strip("/")))
    assert server.get().body == b"hello"


def test_a_name_is_resolved(serve):
    server = serve(HELLO, "--bind", f"localhost:{(port := free_port())}", host=None)
    server.address = ("127.0.0.1", port)
    assert server.get().body == b"hello"


def test_several_addresses(serve, tmp_path):
    ports = [free_port(), free_port()]
    binds = [f"127.0.0.1:{ports[0]}", f"127.0.0.1:{ports[1]}", f"unix:{tmp_path}/socket"]
    server = serve(HELLO, *(part for bind in binds for part in ("--bind", bind)), host=None)
    for address in [("127.0.0.1", ports[0]), ("127.0.0.1", ports[1]), f"{tmp_path}/socket"]:
        server.address = address
        assert server.get().body == b"hello"


def test_ipv6(serve):
    server = serve(EVALUATE, host="::1")
    assert evaluate(server, "[environ['SERVER_NAME'], environ['REMOTE_ADDR']]") == ["[::1]", "::1"]


def test_ipv6_by_its_address(serve):
    server = serve(HELLO, "--bind", f"[::1]:{(port := free_port('::1'))}", host=None)
    server.address = ("::1", port)
    assert server.get().body == b"hello"


def test_a_unix_socket_is_made_and_removed(serve, tmp_path):
    server = serve(HELLO, "--bind", "unix:socket", host=None)
    server.address = str(tmp_path / "socket")
    assert server.get().body == b"hello"
    server.stop()
    assert not (tmp_path / "socket").exists()


def test_a_unix_socket_that_was_left_behind_is_replaced(serve, tmp_path):
    first = serve(HELLO, "--bind", "unix:socket", host=None)
    first.address = str(tmp_path / "socket")
    first.get()
    first.kill()
    assert (tmp_path / "socket").exists()
    second = serve(HELLO, "--bind", "unix:socket", host=None)
    second.address = first.address
    assert second.get().body == b"hello"


def test_a_port_can_be_taken_again_at_once(serve):
    port = free_port()
    for _ in range(2):
        server = serve(HELLO, "--bind", f"127.0.0.1:{port}", host=None)
        server.address = ("127.0.0.1", port)
        with server.connect() as connection:
            assert connection.request().body == b"hello"
            server.stop()


def test_an_application_that_prints_and_logs_is_heard(serve):
    server = serve("""
        import logging, sys
        logging.basicConfig(level=logging.INFO)
        logging.info("logged at import")
        print("on standard error", file=sys.stderr)
        def application(environ, start_response):
            logging.warning("logged in a call")
            start_response("200 OK", [])
            return []
        """)
    server.get()
    for text in ("logged at import", "on standard error", "logged in a call"):
        server.wait_for_log(text)
