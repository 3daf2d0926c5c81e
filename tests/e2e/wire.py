"""A client that sees every byte: it sends what it is told and reads responses strictly (RFC 9112)."""

from __future__ import annotations

import errno
import re
import socket
import struct
from dataclasses import dataclass, field

from waiting import DEADLINE

STATUS_LINE = re.compile(rb"(HTTP/1\.1) ([1-5][0-9]{2}) ([\t \x21-\x7e\x80-\xff]*)")
FIELD_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t \x21-\x7e\x80-\xff]*?)[ \t]*")
CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]{1,16}")

#: Seconds without a byte after which the server counts as silent.
PATIENCE = DEADLINE


class Malformed(Exception):
    """The server sent what RFC 9112 does not allow."""


class Truncated(Exception):
    """The connection ended inside a response. `response` is what came of it, None when its head was not whole."""

    def __init__(self, response: Response | None, cause: str) -> None:
        super().__init__(f"the connection ended inside a response ({cause}): {response}")
        self.response = response
        self.cause = cause


@dataclass
class Response:
    """One response. `framing` says how its body was delimited: none, length, chunked or close."""

    status: int
    reason: str
    headers: list[tuple[str, str]]
    framing: str
    body: bytes = b""
    chunks: list[bytes] = field(default_factory=list)

    def all(self, name: str) -> list[str]:
        """The values of every line of this name."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def header(self, name: str) -> str | None:
        """The value of the only line of this name, None without one."""
        values = self.all(name)
        if len(values) > 1:
            raise Malformed(f"{name} is repeated: {values}")
        return values[0] if values else None


class Connection:
    """One connection to a server: `address` is (host, port) or the path of a unix socket."""

    def __init__(self, address: tuple | str, patience: float = PATIENCE, receive_buffer: int | None = None) -> None:
        family = (
            socket.AF_UNIX if isinstance(address, str) else socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        )
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(patience)
        self.socket.connect(address)
        self.buffer = bytearray()
        self.end = ""  # how the server ended the connection: "" not yet, "end" orderly, "reset"

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # sending

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def request(self, method: str = "GET", target: str = "/", headers: tuple = (), body: bytes = b"") -> Response:
        """Sends a request and reads its response."""
        self.send(request(method, target, headers, body))
        return self.response(method)

    def finish_sending(self) -> None:
        self.socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.socket.close()

    def reset(self) -> None:
        """Closes with RST: the client has vanished."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    # receiving

    def _more(self) -> bool:
        """Receives once. False when the connection has ended."""
        if self.end:
            return False
        try:
            data = self.socket.recv(1 << 16)
        except socket.timeout:
            raise AssertionError(f"no byte came within {self.socket.gettimeout()} s; so far: {bytes(self.buffer)!r}")
        except (ConnectionResetError, BrokenPipeError):
            self.end = "reset"
            return False
        if not data:
            self.end = "end"
        self.buffer += data
        return bool(data)

    def _take(self, length: int) -> bytes:
        taken = bytes(self.buffer[:length])
        del self.buffer[:length]
        return taken

    def _line(self) -> bytes:
        while (position := self.buffer.find(b"\r\n")) < 0:
            if not self._more():
                raise Truncated(None, self.end)
        line = self._take(position + 2)[:-2]
        if b"\r" in line or b"\n" in line:
            raise Malformed(f"a bare CR or LF in {line!r}")
        return line

    def _exactly(self, length: int) -> bytes:
        while len(self.buffer) < length:
            if not self._more():
                raise Truncated(None, self.end)
        return self._take(length)

    def head(self, method: str = "GET") -> Response:
        """The head of one response; the body is left on the wire."""
        line = self._line()
        match = STATUS_LINE.fullmatch(line)
        if not match:
            raise Malformed(f"not a status line: {line!r}")
        headers = []
        while line := self._line():
            field_match = FIELD_LINE.fullmatch(line)
            if not field_match:
                raise Malformed(f"not a header line: {line!r}")
            headers.append((field_match[1].decode("latin-1"), field_match[2].decode("latin-1")))
        response = Response(int(match[2]), match[3].decode("latin-1"), headers, "none")
        response.framing = framing(response, method)
        return response

    def chunk(self) -> bytes:
        """One chunk of a chunked body, b"" for the last one. Extensions and trailers are not expected from a server."""
        size = self._line()
        if not CHUNK_SIZE.fullmatch(size):
            raise Malformed(f"not a chunk size: {size!r}")
        data = self._exactly(int(size, 16))
        if self._line() != b"":
            raise Malformed("a chunk does not end where its size says")
        return data

    def response(self, method: str = "GET") -> Response:
        """Exactly one response. What follows it stays in `buffer`."""
        response = self.head(method)
        try:
            self._body(response)
        except Truncated as truncated:
            response.body += self._take(len(self.buffer)) if response.framing != "chunked" else b""
            raise Truncated(response, truncated.cause) from None
        return response

    def _body(self, response: Response) -> None:
        if response.framing == "length":
            response.body = self._exactly(int(response.header("Content-Length")))
        elif response.framing == "chunked":
            while chunk := self.chunk():
                response.chunks.append(chunk)
                response.body += chunk
        elif response.framing == "close":
            response.body = self.rest()
            if self.end == "reset":
                raise Truncated(response, self.end)

    def rest(self) -> bytes:
        """Everything until the connection ends."""
        while self._more():
            pass
        return self._take(len(self.buffer))

    def assert_ended(self) -> None:
        """The server has closed this connection and sent nothing more."""
        rest = self.rest()
        assert (rest, self.end) == (b"", "end")

    def assert_open(self) -> None:
        """This connection still serves, and nothing is left over from earlier responses."""
        assert bytes(self.buffer) == b""
        self.send(b"GET /still-open HTTP/1.1\r\nHost: test\r\n\r\n")
        self.response()
        assert bytes(self.buffer) == b""


def request(method: str = "GET", target: str = "/", headers: tuple = (), body: bytes = b"") -> bytes:
    """A request as bytes, with Host and, when there is a body and no header that frames it, Content-Length."""
    names = {name.lower() for name, _ in headers}
    lines = [f"{method} {target} HTTP/1.1"]
    if "host" not in names:
        lines.append("Host: test")
    lines += [f"{name}: {value}" for name, value in headers]
    if body and not names & {"content-length", "transfer-encoding"}:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def chunked(*blocks: bytes, trailers: bytes = b"") -> bytes:
    """A chunked body of these blocks."""
    return b"".join(b"%x\r\n%b\r\n" % (len(block), block) for block in blocks) + b"0\r\n" + trailers + b"\r\n"


def framing(response: Response, method: str) -> str:
    """How a body is delimited (RFC 9112 §6.3)."""
    length, coding = response.header("Content-Length"), response.header("Transfer-Encoding")
    if length is not None and not re.fullmatch("[0-9]+", length):
        raise Malformed(f"Content-Length: {length!r}")
    if length is not None and coding is not None:
        raise Malformed("both Content-Length and Transfer-Encoding")
    if method == "HEAD" or response.status < 200 or response.status in (204, 304):
        return "none"
    if coding is not None:
        if coding != "chunked":
            raise Malformed(f"Transfer-Encoding: {coding!r}")
        return "chunked"
    return "close" if length is None else "length"


def is_refused(address: tuple) -> bool:
    """Whether nobody listens at this address: a new connection is refused, rather than taken or left to wait."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(address) == errno.ECONNREFUSED
