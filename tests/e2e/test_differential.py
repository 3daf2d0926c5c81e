"""Does the server see the same requests in a stream of bytes as an independent parser, h11?

Pairs of requests go to the server in one stream, most of them with a few bytes changed, and the same bytes to h11. Each
request that the server serves must be the one that h11 reads in the same place, with the same body. The server may refuse
what h11 takes, but only for the reasons in `STRICTER`, each of which must show in the bytes; what h11 refuses must be
refused, but for the few reasons in `LOOSER`. The streams are the same in every run; FUNICORN_DIFFERENTIAL_CASES makes more.
"""

from __future__ import annotations

import hashlib
import os
import random
import re

import h11
import pytest
from wire import Connection, Malformed, Truncated

CASES = int(os.environ.get("FUNICORN_DIFFERENTIAL_CASES", "4000"))

ECHO = """
    import hashlib

    def application(environ, start_response):
        digest = hashlib.sha256(environ["wsgi.input"].read()).hexdigest()
        start_response("200 OK", [("X-Served", "yes")])
        return [" ".join([environ["REQUEST_METHOD"], environ["RAW_URI"], digest]).encode("latin-1")]
    """

#: Why the server refuses what h11 takes: the text of the refusal, and what then stands in the stream.
STRICTER = {
    # RFC 9112 §2.2: h11 takes a bare LF for a line's end.
    "a line does not end in CRLF": rb"(?<!\r)\n",
    # RFC 9112 §5.2, RFC 9110 §5.5: h11 unfolds lines and takes control bytes in values.
    "a header line is malformed": rb"\r\n[ \t]|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)",
    # RFC 9112 §3.2: h11 does not look into targets.
    "the request target is malformed": rb"[A-Z]+ (?!/)[^ \n]+ HTTP/|[A-Z]+ [^ \n]*#[^ \n]* HTTP/",
    "the path contains %00": rb"[A-Z]+ [^ \n]*%00[^ \n]* HTTP/",
    # RFC 9112 §3.2: nor into Host.
    "the Host header is missing, repeated or malformed": rb"(?i)\nhost:",
    # RFC 9112 §6.3: h11 takes lengths that are repeated or in a list if they agree.
    "the Content-Length header is malformed or repeated": rb"(?is)\ncontent-length:([^\n]*,|.*\ncontent-length:)",
    # RFC 9112 §6.1: h11 lets Transfer-Encoding win over Content-Length, and takes it from HTTP/1.0.
    "the Transfer-Encoding header is not allowed here": (
        rb"(?is)\ncontent-length:.*\ntransfer-encoding:|\ntransfer-encoding:.*\ncontent-length:|HTTP/1\.0\r\n.*\ntransfer-encoding:"
    ),
    # RFC 9112 §7.1: h11 takes control bytes and open quotes in extensions, and blanks behind a size.
    "the chunked body is malformed": (
        rb"\n[0-9A-Fa-f]+(;[^\n]*)?[ \t\r]+\r?\n|\n[0-9A-Fa-f]+;[^\n]*([^\t\r -~\x80-\xff]|\")|\r\n[ \t]"
        rb"|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)|(?<!\r)\n"
    ),
    # RFC 9110 §6.5.1: h11 takes trailers of any name, and hands them to its caller apart from the headers.
    "a trailer may not frame, route or control the request": (
        rb"(?is)\n0+[ \t]*(;[^\n]*)?\r\n([^\n]+\n)*(connection|content-length|expect|host|te|trailer|transfer-encoding|upgrade):"
    ),
    # RFC 9110 §10.1.1: h11 leaves expectations to its caller.
    "the expectation cannot be met": rb"(?i)\nexpect:",
    # RFC 9110 §2.5: h11 takes any version that begins with 1, and those that it does not know like 1.1.
    "the HTTP version is not supported": rb"HTTP/(?!1\.[01])[0-9]\.[0-9]",
}

#: What h11 refuses and the server takes, as it stands in the stream.
LOOSER = {
    "raw bytes past ASCII in a target, as clients send them": rb"[A-Z]+ [^ \r\n]*[\x80-\xff][^ \r\n]* HTTP/",
    "blanks before the semicolon of an extension (RFC 9112 §7.1.1)": rb"\n[0-9A-Fa-f]+[ \t]+;",
}

TOKENS = [
    *(
        b"\r",
        b"\n",
        b"\r\n",
        b"\r\n\r\n",
        b"\0",
        b" ",
        b"\t",
        b"\x0b",
        b"\x7f",
        b"\xa0",
        b"\xe9",
        b":",
        b";",
        b",",
        b'"',
        b"_",
    ),
    *(
        b"+",
        b"-",
        b"0",
        b"1",
        b"5",
        b"0x",
        b"f",
        b"ffffffff",
        b"chunked",
        b", chunked",
        b"0\r\n\r\n",
        b"5\r\nhello\r\n",
        b";a=b",
        b" ;a",
    ),
    *(
        b"\r\nContent-Length: 5",
        b"\r\nContent-Length: 0",
        b"\r\nTransfer-Encoding: chunked",
        b"\r\nHost: b",
        b"\r\n folded",
    ),
    *(
        b"\r\nConnection: close",
        b"\r\nExpect: 100-continue",
        b"\r\nTransfer-Encoding : chunked",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ),
]


def body(draw: random.Random) -> bytes:
    plain = draw.choice(
        [b"", b"x", b"hello world", b"0\r\n\r\n", b"GET /in-body HTTP/1.1\r\nHost: a\r\n\r\n", draw.randbytes(40)]
    )
    return plain * draw.choice([1, 1, 1, 3])


def chunks(draw: random.Random, data: bytes) -> bytes:
    """`data` in chunks, spelled in one of the ways that RFC 9112 §7.1 allows."""
    result = b""
    while data:
        size = draw.randint(1, len(data))
        digits = draw.choice(["%x", "%X", "%04x"]) % size
        result += (
            digits.encode() + draw.choice([b"", b"", b";a", b';a="b"', b";a=b;c"]) + b"\r\n" + data[:size] + b"\r\n"
        )
        data = data[size:]
    return result + draw.choice([b"0", b"000", b"0;end"]) + b"\r\n" + draw.choice([b"", b"", b"X-Sum: 1\r\n"]) + b"\r\n"


def message(draw: random.Random) -> bytes:
    """A valid request."""
    target = draw.choice(["/", "/a/b", "/a?b=c", "//x", "/%2e%20?q=%0d%0a", "http://example.org/p?q", "/?"])
    version = draw.choice(["HTTP/1.1"] * 6 + ["HTTP/1.0"])
    head = [f"{draw.choice(['GET', 'POST', 'PUT', 'DELETE', 'PATCH'])} {target} {version}"]
    fields = ["Host: " + draw.choice(["a", "example.org:80", "[::1]:8000", ""])]
    fields += draw.sample(
        ["X: y", "X-Empty:", "Accept: */*", "X-Blank:  a b \t", "Cookie: a=b", "Content-Type: text/plain"], 2
    )
    if version == "HTTP/1.0":
        fields.append("Connection: " + draw.choice(["keep-alive", "Keep-Alive", "close", "x"]))
    data, framing = body(draw), draw.choice(["none", "length", "length", "chunked", "chunked"])
    if framing == "chunked" and version == "HTTP/1.1":
        fields.append(
            draw.choice(["Transfer-Encoding", "transfer-encoding"]) + ": " + draw.choice(["chunked", "Chunked"])
        )
        data = chunks(draw, data)
    elif framing == "none":
        data = b""
    else:
        fields.append(
            draw.choice(["Content-Length: ", "content-length:\t", "CONTENT-LENGTH:"])
            + draw.choice(["", "", "00"])
            + str(len(data))
        )
    draw.shuffle(fields)
    return "\r\n".join([*head, *fields, "", ""]).encode("latin-1") + data


def mutate(draw: random.Random, stream: bytes) -> bytes:
    """`stream` with one change; most changes are where the framing is."""
    marks = [
        match.start() for match in re.finditer(rb"[\r\n:; ]|(?i:content-length|transfer-encoding|chunked)", stream)
    ]
    at = draw.choice([draw.choice(marks or [0]), draw.choice(marks or [0]), draw.randrange(len(stream) + 1)])
    kind = draw.randrange(6)
    if kind <= 2:
        return stream[:at] + draw.choice(TOKENS) + stream[at:]
    if kind == 3:
        return stream[:at] + stream[at + draw.randint(1, 3) :]
    if kind == 4:
        return stream[:at] + bytes([draw.randrange(256)]) + stream[at + 1 :]
    lines = stream.splitlines(keepends=True)
    one = draw.randrange(len(lines))
    return b"".join(lines[:one] + [lines[one]] * draw.choice([0, 2]) + lines[one + 1 :])


def streams(count: int) -> list[bytes]:
    draw = random.Random("two requests in one stream")
    result = []
    for number in range(count):
        stream = b"".join(message(draw) for _ in range(draw.choice([1, 2, 2, 2, 3])))
        for _ in range(number % 4):
            stream = mutate(draw, stream)
        result.append(stream)
    return result


def summary(method: bytes, target: bytes, content: bytes) -> bytes:
    """What the application says of a request, from the request as h11 read it."""
    return b" ".join([method, target, hashlib.sha256(content).hexdigest().encode()])


def read_by_h11(stream: bytes) -> tuple[list, str]:
    """The requests that h11 finds, and how it ends: "refused", "incomplete" or "closed"."""
    found = []
    while True:
        # RFC 9112 §2.2: an empty line before a request is ignored. h11 does not do that, so that it is done here.
        connection, content, request = h11.Connection(h11.SERVER), b"", None
        connection.receive_data(b"" if stream == b"\r" else stream.removeprefix(b"\r\n"))
        try:
            while not isinstance(event := connection.next_event(), h11.EndOfMessage):
                if isinstance(event, h11.Request):
                    request = event
                elif isinstance(event, h11.Data):
                    content += bytes(event.data)
                else:
                    return found, "incomplete"
        except h11.RemoteProtocolError:
            return found, "refused"
        found.append(summary(request.method, request.target, content))
        if not is_kept_alive(request):
            return found, "closed"
        stream = connection.trailing_data[0]


def is_kept_alive(request: h11.Request) -> bool:
    """Whether another request may follow (RFC 9112 §9.3). h11 itself ends every connection of HTTP/1.0."""
    values = b",".join(value for name, value in request.headers if name == b"connection").lower()
    options = [option.strip() for option in values.split(b",")]
    return b"close" not in options and (request.http_version >= b"1.1" or b"keep-alive" in options)


def read_by_server(connection: Connection, stream: bytes) -> tuple[list, str]:
    """The requests that the server serves, and how it ends: "closed" or the text of its refusal."""
    served = []
    try:
        connection.send(stream)
        connection.finish_sending()
    except OSError:
        pass  # it has refused already and closed; its answer can be read all the same
    while True:
        try:
            response = connection.response()
        except Truncated as truncated:
            assert truncated.response is None, "a response is cut short"
            return served, "closed"
        if response.status == 100:
            continue
        if response.header("X-Served"):
            served.append(response.body)
        else:
            assert 400 <= response.status < 600 and response.header("Connection") == "close", response
            assert connection.rest() == b"", "something follows a refusal"
            return served, response.body.decode().strip()


def disagreement(stream: bytes, ours: tuple[list, str], theirs: tuple[list, str]) -> str | None:
    """What is wrong between the server's reading and h11's, None when nothing is."""
    (served, end), (found, other_end) = ours, theirs
    if served[: len(found)] == found and other_end == "refused" and (len(served) > len(found) or end == "closed"):
        is_listed = any(re.search(reason, stream) for reason in LOOSER.values())
        return None if is_listed else "what h11 refuses is not refused"
    if served != found[: len(served)]:
        return "other requests are served"
    if len(served) == len(found):
        return None
    reason = STRICTER.get(end)
    if reason is None:
        return "fewer requests are served, for no reason that is listed"
    return None if re.search(reason, stream) else "refused for a reason that the bytes do not show"


def test_the_server_and_h11_see_the_same_requests(serve):
    server = serve(ECHO)
    counts = {"served": 0, "refused": 0, "stricter": 0}
    wrong = []
    for number, stream in enumerate(streams(CASES)):
        theirs = read_by_h11(stream)
        with server.connect() as connection:
            try:
                ours = read_by_server(connection, stream)
            except (AssertionError, Malformed) as error:
                ours = ([], repr(error))
        problem = disagreement(stream, ours, theirs)
        if number % 4 == 0 and (ours[1] != "closed" or ours[0] != theirs[0]):
            problem = "a valid request is refused"
        if problem:
            wrong.append(f"{problem}\n  stream: {stream!r}\n  server: {ours}\n  h11: {theirs}")
        counts["served"] += len(ours[0])
        counts["refused"] += ours[1] != "closed"
        counts["stricter"] += len(ours[0]) < len(theirs[0])
    print(f"{CASES} streams: {counts}")
    assert not wrong, f"{len(wrong)} streams of {CASES}:\n" + "\n".join(wrong[:20])
    assert counts["served"] > CASES // 2 and counts["refused"] > CASES // 8, counts


@pytest.mark.parametrize(
    "stream", [b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"]
)
def test_a_disagreement_would_be_seen(stream):
    found, end = read_by_h11(stream * 2)
    assert len(found) == 2
    assert disagreement(stream, ([*found, found[0]], "closed"), (found, end)) is not None
    assert disagreement(stream, (found[:1], "closed"), (found, end)) is not None
    assert disagreement(stream, ([b"GET /y"], "closed"), (found, end)) is not None
    assert disagreement(stream, (found, "closed"), (found, "refused")) is not None
