"""Does the log say of each refusal which request it was, and which flag to change?"""

import pytest
from wire import request

ECHO = """
    def application(environ, start_response):
        start_response("200 OK", [])
        return [environ["wsgi.input"].read()]
    """
HOST = ("Host", "test")


def post(*headers, body=b""):
    return request("POST", "/upload?to=1", headers) + body


CHUNKED = ("Transfer-Encoding", "chunked")


@pytest.mark.parametrize(
    "flags, data, status, line",
    [
        (["--limit-request-body", "9"], post(("Content-Length", "10")), 413,
         "the body is too large: POST /upload?to=1 (--limit-request-body is 9)"),
        (["--limit-request-body", "9"], post(CHUNKED, body=b"5\r\nhello\r\n5\r\n"), 413,
         "the body is too large: POST /upload?to=1 (--limit-request-body is 9)"),
        ([], post(("Content-Length", str((1 << 30) + 1))), 413,
         "the body is too large: POST /upload?to=1 (--limit-request-body is 1073741824)"),
        (["--limit-request-line", "20"], b"GET /" + b"a" * 30, 414,
         "the request line is too long: GET /" + "a" * 30 + " (--limit-request-line is 20)"),
        (["--limit-request-line", "0", "--limit-request-head", "20"], b"GET /" + b"a" * 30, 414,
         "the request line is too long: GET /" + "a" * 30 + " (--limit-request-head is 20)"),
        (["--limit-request-field-size", "20"], post(("X-Long", "a" * 30)), 431,
         "a header line is too long: POST /upload?to=1 (--limit-request-field-size is 20)"),
        (["--limit-request-fields", "2"], post(("X-A", "a"), ("X-B", "b"), ("X-C", "c")), 431,
         "there are too many header lines: POST /upload?to=1 (--limit-request-fields is 2)"),
        (["--limit-request-head", "60"], post(("X-A", "a" * 15), ("X-B", "b" * 15)), 431,
         "the header section is too large: POST /upload?to=1 (--limit-request-head is 60)"),
        (["--limit-trailers", "20"], post(CHUNKED, body=b"0\r\nX-Long: " + b"a" * 30), 431,
         "the trailers are too large: POST /upload?to=1 (--limit-trailers is 20)"),
        (["--limit-chunk-extension", "20"], post(CHUNKED, body=b"0;" + b"a" * 30), 400,
         "the extensions of a chunk are too long: POST /upload?to=1 (--limit-chunk-extension is 20)"),
        (["--limit-spool", "0", "--body-buffer", "1"], post(("Content-Length", "10")), 503,
         "the server cannot take the request now: POST /upload?to=1 (--limit-spool is 0)"),
        (["--limit-spool", "5", "--body-buffer", "1"], post(("Content-Length", "10"), body=b"0123456789"), 503,
         "the server cannot take the request now: POST /upload?to=1 (--limit-spool is 5)"),
        (["--head-timeout", "1"], b"GET /slow HTT", 408,
         "the request did not arrive in time: GET /slow HTT (--head-timeout is 1)"),
        (["--body-timeout", "1"], post(("Content-Length", "10")), 408,
         "the request did not arrive in time: POST /upload?to=1 (--body-timeout is 1)"),
        (["--body-timeout", "1", "--min-body-rate", "1G"], post(("Content-Length", "10"), body=b"01234"), 408,
         "the request did not arrive in time: POST /upload?to=1 (--min-body-rate is 1073741824)"),
        (["--request-timeout", "1"], post(("Content-Length", "10"), body=b"01234"), 408,
         "the request did not arrive in time: POST /upload?to=1 (--request-timeout is 1)"),
        ([], b"GET /two HTTP/1.1\r\n\r\n", 400,
         "the Host header is missing, repeated or malformed: GET /two\n"),
        ([], b"nonsense\r\n\r\n", 400, "the request line is malformed: nonsense\n"),
    ],
)  # fmt: skip
def test_a_refusal_is_logged_with_its_request_line_its_limit_and_the_flag(serve, flags, data, status, line):
    server = serve(ECHO, *flags)
    with server.connect() as connection:
        connection.send(data)
        assert connection.response().status == status
    server.wait_for_log(f": {line}")


def test_no_client_can_write_a_line_or_a_long_one_with_what_is_refused(serve):
    server = serve(ECHO)
    for data in (b"GET /\x1b[2J\xff\r [CRITICAL] forged HTTP/1.1\r\nHost: test\r\n\r\n", b"GET /" + b"a" * 9000):
        with server.connect() as connection:
            connection.send(data)
            assert connection.response().status in (400, 414)
    server.wait_for_log("aaa... (--limit-request-line is 8190)")
    server.wait_for_log(r"GET /\x1b[2J\xff")
    server.stop()
    assert "\x1b" not in server.stderr
    assert max(map(len, server.stderr.splitlines())) < 500
