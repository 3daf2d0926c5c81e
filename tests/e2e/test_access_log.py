"""Is there one line for each request in the access log, in gunicorn's default format?"""

import base64
import re

import pytest
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
