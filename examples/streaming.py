"""A response that is made while it is read: each block leaves as soon as it is yielded.

    funicorn --threads 8 streaming

    curl --no-buffer http://127.0.0.1:8000/           # one line a second
    curl --no-buffer http://127.0.0.1:8000/?count=3

A streaming call keeps its thread until the last block, hence the threads. When the client goes away the server closes
the generator, so that `finally` runs and nothing leaks.
"""

import time
from urllib.parse import parse_qs


def application(environ, start_response):
    query = parse_qs(environ.get("QUERY_STRING", ""))
    count = int(query.get("count", ["10"])[0])
    start_response("200 OK", [("Content-Type", "text/plain")])
    return ticks(count, environ["wsgi.errors"])


def ticks(count, log):
    try:
        for number in range(count):
            yield b"tick %d\n" % number
            if number + 1 < count:
                time.sleep(1)
    finally:
        log.write("the stream is over\n")
