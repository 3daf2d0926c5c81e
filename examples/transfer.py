"""Large uploads and downloads in constant memory, with nothing but the standard library.

    funicorn --limit-request-body 4294967296 --spool-dir /var/tmp transfer

    curl -T big.iso http://127.0.0.1:8000/upload              # answers with the body's length and SHA-256
    curl http://127.0.0.1:8000/download?bytes=1000000 | sha256sum
    TRANSFER_FILE=big.iso funicorn transfer                   # then /file sends that file, by sendfile where it can

The bytes of a generated download repeat one fixed block, so that a client can compute the checksum that it must get.
"""

import hashlib
import os
from urllib.parse import parse_qs
from wsgiref.util import FileWrapper

#: The block that a generated download repeats: 64 KiB whose lines all differ.
BLOCK = b"".join(b"%015d\n" % number for number in range(4096))


def application(environ, start_response):
    route = {"/upload": upload, "/download": download, "/file": send_file}.get(environ["PATH_INFO"])
    if route is None:
        return text(start_response, "404 Not Found", "try /upload, /download?bytes=N or /file\n")
    return route(environ, start_response)


def upload(environ, start_response):
    """Reads the body block by block and answers with what arrived."""
    length, digest = 0, hashlib.sha256()
    while block := environ["wsgi.input"].read(1 << 16):
        length += len(block)
        digest.update(block)
    return text(start_response, "200 OK", f"{length} {digest.hexdigest()}\n")


def download(environ, start_response):
    """Sends as many bytes as the query asks for."""
    query = parse_qs(environ.get("QUERY_STRING", ""))
    length = int(query.get("bytes", ["0"])[0])
    start_response("200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", str(length))])
    return blocks(length)


def blocks(length):
    while length > 0:
        block = BLOCK[:length]
        length -= len(block)
        yield block


def send_file(environ, start_response):
    """Sends the file that the environment variable TRANSFER_FILE names, through the server's own wrapper if it has one."""
    file = open(os.environ["TRANSFER_FILE"], "rb")
    length = os.fstat(file.fileno()).st_size
    start_response("200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", str(length))])
    return environ.get("wsgi.file_wrapper", FileWrapper)(file, 1 << 16)


def text(start_response, status, line):
    body = line.encode()
    start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
