"""Is there one line for each request in the access log, in gunicorn's default format?"""

import base64
import os
import re
import signal
import threading

import pytest
from server import children
from waiting import eventually
from wire import Truncated, request

APPLICATION = """
    def application(environ, start_response):
        if environ["PATH_INFO"] == "/error":
            raise ValueError
        if environ["PATH_INFO"] == "/cut":
            return cut(start_response)
        start_response("201 Created", [])
        return [b"12345"]
    def cut(start_response):
        start_response("200 OK", [])
        yield b"part"
        raise ValueError
    """

#: %(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"
LINE = re.compile(
    r'(?P<host>\S+) - (?P<user>\S+) \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "(?P<request>.*)" (?P<status>\d{3}) '
    r'(?P<bytes>\S+) "(?P<referer>.*)" "(?P<agent>.*)"'
)


def lines(server, count):
    """The parsed lines of the log, once there are `count` of them."""
    eventually(lambda: server.note("access.log").count("\n") >= count, f"{count} lines in the access log")
    found = server.note("access.log").splitlines()
    assert len(found) == count
    matches = [LINE.fullmatch(line) for line in found]
    assert all(matches), found
    return [match.groupdict() for match in matches]


@pytest.fixture
def logging(serve):
    return serve(APPLICATION, "--access-logfile", "access.log")


def test_a_line_says_who_asked_for_what_and_got_what(logging):
    logging.get("/path?query=1", ("Referer", "http://elsewhere.example/"), ("User-Agent", "curl/8 (test)"))
    assert lines(logging, 1) == [
        {
            "host": "127.0.0.1",
            "user": "-",
            "request": "GET /path?query=1 HTTP/1.1",
            "status": "201",
            "bytes": "5",
            "referer": "http://elsewhere.example/",
            "agent": "curl/8 (test)",
        }
    ]


def test_what_is_missing_is_a_dash(logging):
    logging.get()
    (line,) = lines(logging, 1)
    assert (line["user"], line["referer"], line["agent"]) == ("-", "-", "-")


def test_each_request_of_a_connection_has_its_line(logging):
    with logging.connect() as connection:
        for number in range(5):
            connection.request("POST", f"/{number}", (), b"body")
    assert [line["request"] for line in lines(logging, 5)] == [f"POST /{number} HTTP/1.1" for number in range(5)]


def test_the_user_of_basic_authentication_is_named(logging):
    logging.get("/", ("Authorization", "Basic " + base64.b64encode(b"somebody:secret").decode()))
    assert lines(logging, 1)[0]["user"] == "somebody"
    assert "secret" not in logging.note("access.log")


def test_an_error_of_the_application_has_its_line(logging):
    assert logging.get("/error").status == 500
    assert lines(logging, 1)[0]["status"] == "500"


def test_a_response_that_is_cut_has_its_line(logging):
    with pytest.raises(Truncated):
        logging.get("/cut")
    assert lines(logging, 1)[0]["status"] == "200"


def test_a_head_request_has_no_bytes(logging):
    logging.request("HEAD")
    assert lines(logging, 1)[0]["bytes"] in ("-", "0")


@pytest.mark.parametrize("agent", ['quote " backslash \\', "caf\xe9", "tab\there"])
def test_no_client_can_break_a_line(logging, agent):
    logging.get("/", ("User-Agent", agent))
    text = logging.note("access.log") if lines(logging, 1) else ""
    assert all(" " <= character <= "~" for character in text.rstrip("\n"))
    assert not re.search(r'(?<!\\)quote "', text)


def test_a_dash_is_standard_output(serve):
    server = serve(APPLICATION, "--access-logfile", "-")
    server.get("/to-stdout")
    eventually(lambda: "GET /to-stdout" in server.stdout, "a line on standard output")


def test_there_is_no_access_log_by_default(serve):
    server = serve(APPLICATION)
    server.get("/quiet")
    server.stop()
    assert "/quiet" not in server.stdout + server.stderr


def test_two_workers_write_whole_lines_to_one_file(serve):
    server = serve(APPLICATION, "--access-logfile", "access.log", "--workers", "2", "--threads", "2")
    connections = [server.connect() for _ in range(10)]
    for _ in range(20):
        for connection in connections:
            connection.send(request("GET", "/" + "x" * 300))
        for connection in connections:
            connection.response()
    assert len(lines(server, 200)) == 200


def test_the_log_is_complete_when_the_server_has_ended(serve):
    server = serve(APPLICATION, "--access-logfile", "access.log")
    for _ in range(10):
        server.get()
    server.stop()
    assert server.note("access.log").count("\n") == 10


def test_a_log_that_cannot_be_opened_is_said_at_the_start(serve):
    server = serve(APPLICATION, "--access-logfile", "no-such-folder/access.log")
    assert server.wait() not in (0, None)
    assert "no-such-folder/access.log" in server.stderr


def test_the_log_of_a_unix_socket_has_a_line(serve, tmp_path):
    server = serve(APPLICATION, "--bind", f"unix:{tmp_path}/socket", "--access-logfile", "access.log", host=None)
    server.address = f"{tmp_path}/socket"
    server.get("/path")
    eventually(lambda: "\n" in server.note("access.log"), "a line")
    assert '"GET /path HTTP/1.1" 201 5' in server.note("access.log")


def targets(server, *names):
    """What was asked for, by the lines of these files."""
    return [line.split('"')[1].split()[1] for name in names for line in server.note(name).splitlines()]


def rotate(server, name):
    """Moves the log away and says so, as logrotate does; returns when every process writes to the new one."""
    os.rename(server.directory / "access.log", server.directory / name)
    server.signal(signal.SIGUSR1)
    path = str(server.directory / "access.log")
    eventually(lambda: all(path in open_files(pid) for pid in server.tree()), "all have opened the log anew")


def open_files(pid):
    found = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            found.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
        except OSError:
            continue
    return found


@pytest.mark.parametrize("threads", ["1", "4"])
def test_a_log_that_was_moved_away_is_opened_anew_at_usr1(serve, threads):
    server = serve(APPLICATION, "--access-logfile", "access.log", "--workers", "2", "--threads", threads)
    eventually(lambda: server.stderr.count("is ready") == 2, "both workers are ready")
    server.get("/before")
    eventually(lambda: server.note("access.log"), "a line")
    rotate(server, "access.log.1")
    server.get("/after")
    eventually(lambda: server.note("access.log"), "a line")
    assert (targets(server, "access.log.1"), targets(server, "access.log")) == (["/before"], ["/after"])


def test_no_line_is_lost_while_logs_are_rotated(serve):
    server = serve(APPLICATION, "--access-logfile", "access.log", "--workers", "2", "--threads", "2")
    eventually(lambda: server.stderr.count("is ready") == 2, "both workers are ready")
    sent, is_over = [], threading.Event()

    def ask(client):
        with server.connect() as connection:
            while not is_over.is_set():
                target = f"/{client}/{len(sent)}"
                assert connection.request("GET", target).status == 201
                sent.append(target)

    clients = [threading.Thread(target=ask, args=[client]) for client in range(4)]
    for client in clients:
        client.start()
    for turn in range(5):
        before = len(sent)
        eventually(lambda: len(sent) > before + 50, "requests are answered")
        rotate(server, f"access.log.{turn}")
    is_over.set()
    for client in clients:
        client.join()
    server.stop()
    names = ["access.log", *(f"access.log.{turn}" for turn in range(5))]
    assert sorted(targets(server, *names)) == sorted(sent)
    assert all(server.note(name) for name in names[1:])


def test_a_worker_that_starts_after_a_rotation_writes_to_the_new_log(serve):
    server = serve(APPLICATION, "--access-logfile", "access.log")
    server.wait_for_log("is ready")
    rotate(server, "access.log.1")
    os.kill(children(server.pid)[0], signal.SIGKILL)
    eventually(lambda: server.stderr.count("is ready") == 2, "another worker")
    server.get("/after")
    eventually(lambda: server.note("access.log"), "a line")
    assert server.note("access.log.1") == ""


def test_a_log_is_found_again_though_the_application_changes_its_directory(serve, tmp_path):
    source = "import os; os.mkdir('elsewhere'); os.chdir('elsewhere')" + APPLICATION.replace("\n    ", "\n")
    server = serve(source, "--access-logfile", "access.log")
    server.wait_for_log("is ready")
    rotate(server, "access.log.1")
    server.get("/after")
    eventually(lambda: server.note("access.log"), "a line")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_log_that_cannot_be_opened_anew_goes_on_where_it_was(serve, tmp_path):
    (tmp_path / "logs").mkdir()
    server = serve(APPLICATION, "--access-logfile", "logs/access.log")
    server.wait_for_log("is ready")
    (tmp_path / "logs").rename(tmp_path / "old")
    server.signal(signal.SIGUSR1)
    eventually(lambda: server.stderr.count("cannot be opened anew") == 2, "both processes say so")
    server.get("/after")
    eventually(lambda: server.note("old/access.log"), "a line")


def test_a_worker_in_a_call_opens_its_log_anew_meanwhile(serve, gate):
    server = serve("""
        def application(environ, start_response):
            open("begun", "w").write("x")
            open("gate").read()
            start_response("200 OK", [])
            return []
        """, "--access-logfile", "access.log")
    with server.connect() as connection:
        connection.send(request("GET", "/long"))
        server.wait_for_note("begun", "x")
        rotate(server, "access.log.1")
        gate.open()
        assert connection.response().status == 200
    eventually(lambda: server.note("access.log"), "a line")
    assert targets(server, "access.log") == ["/long"]
