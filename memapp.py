
import os, io
G=None
def application(environ, start_response):
    p = environ["PATH_INFO"]
    N=200<<20
    if p == "/big":
        start_response("200 OK", []); return [b"x" * N]
    if p == "/tuple":
        start_response("200 OK", []); return (b"x" * N,)
    if p == "/gen":
        start_response("200 OK", []); return (b"x"*N for _ in range(1))
    if p == "/many":
        start_response("200 OK", []); return [b"x" * (1<<20) for i in range(200)]
    if p == "/write":
        w=start_response("200 OK", [("Content-Length",str(N))]); w(b"x"*N); return []
    if p == "/upload":
        d = environ["wsgi.input"].read(); start_response("200 OK", [])
        return [b"%d" % len(d)]
    if p == "/raise":
        d = b"x"*N
        start_response("200 OK", []); raise ValueError("x")
    if p == "/raisebig":
        start_response("200 OK", [("X","1")]); return gen(N)
    if p == "/env":
        environ["big"] = b"x"*N; start_response("200 OK", []); return [b"hi"]
    if p == "/big0":
        start_response("200 OK", [("Content-Length", "10")]); return [b"x"*N]
    start_response("200 OK", []); return [b"hi"]
def gen(N):
    d=b"x"*N
    yield b"a"
    raise ValueError
