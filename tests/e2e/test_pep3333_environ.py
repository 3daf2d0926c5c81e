"""PEP 3333, the environ: duties 31 to 43 of docs/pep3333.md."""

import json

import pytest
from wire import request

#: Answers with every value of the environ that is a string, a number or a pair.
REPORT = """
    import json
    def application(environ, start_response):
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps({k: v for k, v in environ.items() if type(v) in (str, bool, int, tuple)}).encode()]
    """


def environ_of(server, data):
    """The environ that the application sees for the request `data`."""
    with server.connect() as connection:
        connection.send(data)
        return json.loads(connection.response().body)


def get(target, *headers):
    return request("GET", target, headers)


def test_31_the_variables_of_every_request(serve):
    environ = environ_of(serve(REPORT), get("/path?a=1"))
    assert environ["REQUEST_METHOD"] == "GET"
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"], environ["QUERY_STRING"]) == ("", "/path", "a=1")


def test_31_the_type_and_length_of_a_body(serve):
    environ = environ_of(serve(REPORT), request("POST", "/", (("Content-Type", "text/plain"),), b"12345"))
    assert (environ["REQUEST_METHOD"], environ["CONTENT_TYPE"], environ["CONTENT_LENGTH"]) == (
        "POST",
        "text/plain",
        "5",
    )


def test_31_what_is_missing_is_empty_or_absent(serve):
    environ = environ_of(serve(REPORT), get("/"))
    for name in ("QUERY_STRING", "CONTENT_TYPE", "CONTENT_LENGTH", "SCRIPT_NAME"):
        assert environ.get(name, "") == ""


def test_31_a_method_of_any_name_passes_as_sent(serve):
    assert environ_of(serve(REPORT), request("PROPFIND"))["REQUEST_METHOD"] == "PROPFIND"


def test_32_server_name_and_port_come_from_the_listener(serve):
    server = serve(REPORT)
    environ = environ_of(server, get("/", ("Host", "elsewhere.example:99")))
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == (server.address[0], str(server.address[1]))
    assert environ["HTTP_HOST"] == "elsewhere.example:99"


def test_32_server_name_and_port_are_there_without_a_host(serve):
    server = serve(REPORT)
    environ = environ_of(server, b"GET / HTTP/1.0\r\n\r\n")
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == (server.address[0], str(server.address[1]))
    assert "HTTP_HOST" not in environ


@pytest.mark.parametrize(
    "data, name, port",
    [
        (get("/", ("Host", "a.example:8443")), "a.example", "8443"),
        (get("/", ("Host", "a.example")), "a.example", "80"),
        (get("/", ("Host", "[::1]:81")), "[::1]", "81"),
        (get("/", ("Host", "")), "localhost", "80"),
        (b"GET / HTTP/1.0\r\n\r\n", "localhost", "80"),
    ],
)
def test_32_on_a_unix_socket_server_name_and_port_are_never_empty(serve, tmp_path, data, name, port):
    server = serve(REPORT, "--bind", f"unix:{tmp_path}/socket", host=None)
    server.address = f"{tmp_path}/socket"
    environ = environ_of(server, data)
    assert (environ["SERVER_NAME"].strip("[]"), environ["SERVER_PORT"]) == (name.strip("[]"), port)


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
def test_33_server_protocol_is_what_the_client_sent(serve, version):
    assert environ_of(serve(REPORT), f"GET / {version}\r\nHost: test\r\n\r\n".encode())["SERVER_PROTOCOL"] == version


def test_34_each_request_header_is_a_variable(serve):
    environ = environ_of(
        serve(REPORT), get("/", ("Accept", "*/*"), ("X-Two-Words", "a  b"), ("x-lower", ""), ("X1", "1"))
    )
    assert environ["HTTP_HOST"] == "test"
    assert (environ["HTTP_ACCEPT"], environ["HTTP_X_TWO_WORDS"], environ["HTTP_X1"]) == ("*/*", "a  b", "1")
    assert environ["HTTP_X_LOWER"] == ""
    assert {name for name in environ if name.startswith("HTTP_")} == {
        "HTTP_HOST", "HTTP_ACCEPT", "HTTP_X_TWO_WORDS", "HTTP_X_LOWER", "HTTP_X1"
    }  # fmt: skip


def test_34_content_type_and_length_have_no_http_variable(serve):
    environ = environ_of(serve(REPORT), request("POST", "/", (("Content-Type", "text/plain"),), b"12345"))
    assert "HTTP_CONTENT_TYPE" not in environ and "HTTP_CONTENT_LENGTH" not in environ


@pytest.mark.parametrize("name", ["X_Forged", "Content_Length", "X-A_B", "_"])
def test_34_a_name_with_an_underscore_is_dropped(serve, name):
    environ = environ_of(serve(REPORT), get("/", (name, "forged"), ("X-Forged", "real")))
    assert environ["HTTP_X_FORGED"] == "real"
    assert "forged" not in environ.values()


def test_34_no_variable_outlives_its_request(serve):
    server = serve(REPORT)
    with server.connect() as connection:
        first = json.loads(connection.request("POST", "/a?b", (("X-Once", "1"), ("Content-Type", "x")), b"body").body)
        second = json.loads(connection.request("GET", "/").body)
    assert first["HTTP_X_ONCE"] == "1"
    assert "HTTP_X_ONCE" not in second and second.get("CONTENT_TYPE", "") == "" and second.get("QUERY_STRING", "") == ""


def test_34_what_the_application_puts_into_environ_does_not_reach_the_next_request(serve):
    server = serve("""
        def application(environ, start_response):
            seen = "mine" in environ or "SERVER_NAME" not in environ
            environ["mine"] = 1
            del environ["SERVER_NAME"]
            start_response("200 OK", [])
            return [str(seen).encode()]
        """)
    with server.connect() as connection:
        assert [connection.request().body for _ in range(3)] == [b"False"] * 3


def test_35_every_cgi_value_is_exactly_str(serve):
    server = serve("""
        def application(environ, start_response):
            start_response("200 OK", [])
            wrong = {k: type(v) for k, v in environ.items() if "." not in k and type(v) is not str}
            wrong.update({k: type(k) for k in environ if type(k) is not str})
            return [repr(wrong).encode()]
        """)
    headers = (
        ("Content-Type", "text/plain"),
        ("X-Name", "caf\xe9"),
        ("Cookie", "a=1"),
        ("Cookie", "b=2"),
        ("X-Odd", "1"),
    )
    assert server.request("POST", "/caf%c3%a9?q=1", headers, b"x").body == b"{}"


@pytest.mark.parametrize(
    "target, path",
    [
        ("/caf%C3%A9", "/caf\xc3\xa9"),
        ("/a%2Fb%2fc", "/a/b/c"),
        ("/%41%7e%20", "/A~ "),
        ("/%zz%4", "/%zz%4"),
        ("/100%", "/100%"),
        ("/%25%32%35", "/%25"),
        ("/%ff", "/\xff"),
        ("//a//b/../c/./", "//a//b/../c/./"),
        ("/a+b", "/a+b"),
    ],
)
def test_36_path_info_is_percent_decoded(serve, target, path):
    environ = environ_of(serve(REPORT), get(target))
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("", path)
    assert environ["RAW_URI"] == environ["REQUEST_URI"] == target


def test_36_the_query_string_stays_as_sent(serve):
    environ = environ_of(serve(REPORT), get("/p?a=%2F&b=+c?d%zz"))
    assert (environ["PATH_INFO"], environ["QUERY_STRING"]) == ("/p", "a=%2F&b=+c?d%zz")


def test_36_nul_in_the_path_is_refused(serve):
    assert serve(REPORT).get("/a%00b").status == 400


def test_36_the_asterisk_has_no_path(serve):
    environ = environ_of(serve(REPORT), request("OPTIONS", "*"))
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"], environ["RAW_URI"]) == ("", "", "*")


@pytest.mark.parametrize(
    "target, script, path",
    [
        ("/p", "/p", ""),
        ("/p/", "/p", "/"),
        ("/p/a%2Fb", "/p", "/a/b"),
        ("/p/p/x", "/p", "/p/x"),
        ("/", "/p", "/"),
        ("/x", "/p", "/x"),
        ("/px/y", "/p", "/px/y"),
    ],
)
def test_37_the_root_path_is_the_script_name(serve, target, script, path):
    environ = environ_of(serve(REPORT, "--root-path", "/p"), get(target))
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"], environ["RAW_URI"]) == (script, path, target)


def test_37_the_asterisk_has_no_script_name(serve):
    environ = environ_of(serve(REPORT, "--root-path", "/p"), request("OPTIONS", "*"))
    assert (environ.get("SCRIPT_NAME", ""), environ["PATH_INFO"]) == ("", "")


def test_38_repeated_headers_are_joined_in_their_order(serve):
    headers = (("X-A", "1"), ("Cookie", "a=1"), ("x-a", "2, 3"), ("cookie", "b=2"), ("X-B", "x"), ("X-A", "4"))
    environ = environ_of(serve(REPORT), get("/", *headers))
    assert environ["HTTP_X_A"] == "1,2, 3,4"
    assert environ["HTTP_COOKIE"] == "a=1; b=2"


def test_38_header_values_are_latin_1(serve):
    assert environ_of(serve(REPORT), get("/", ("X-Name", "caf\xe9 \xff")))["HTTP_X_NAME"] == "caf\xe9 \xff"


def test_39_the_address_of_the_client(serve):
    server = serve(REPORT, "--forwarded-allow-ips", "192.0.2.1")  # we are no proxy of its
    with server.connect() as connection:
        host, port = connection.socket.getsockname()
        environ = json.loads(connection.request(headers=(("X-Forwarded-For", "1.2.3.4"),)).body)
    assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == (host, str(port))


def test_39_a_client_on_a_unix_socket_has_no_address(serve, tmp_path):
    server = serve(REPORT, "--bind", f"unix:{tmp_path}/socket", host=None)
    server.address = f"{tmp_path}/socket"
    environ = environ_of(server, get("/"))
    assert (environ.get("REMOTE_ADDR", ""), environ.get("REMOTE_PORT", "")) == ("", "")


def test_41_variables_of_the_server_say_who_it_is(serve):
    environ = environ_of(serve(REPORT), get("/"))
    assert environ["SERVER_SOFTWARE"].startswith("funicorn/")
    known = {"REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "CONTENT_TYPE", "CONTENT_LENGTH", "SERVER_NAME",
             "SERVER_PORT", "SERVER_PROTOCOL", "SERVER_SOFTWARE", "REMOTE_ADDR", "REMOTE_PORT", "RAW_URI", "REQUEST_URI",
             "GATEWAY_INTERFACE"}  # fmt: skip
    strangers = {name for name in environ if not name.startswith(("HTTP_", "wsgi.", "funicorn.")) and name not in known}
    assert strangers == set()


def test_42_the_environment_of_the_process_is_in_os_environ(serve):
    server = serve(
        """
        import os
        def application(environ, start_response):
            start_response("200 OK", [])
            return [os.environ["DEPLOYED"].encode(), str("DEPLOYED" in environ).encode()]
        """,
        env={"DEPLOYED": "here"},
    )
    assert server.get().body == b"hereFalse"


@pytest.mark.parametrize(
    "flags, multithread, multiprocess",
    [([], False, False), (["--threads", "8"], True, False), (["--workers", "2"], False, True),
     (["--workers", "2", "--threads", "2"], True, True)],
)  # fmt: skip
def test_43_the_wsgi_variables_tell_the_truth(serve, flags, multithread, multiprocess):
    environ = environ_of(serve(REPORT, *flags), get("/"))
    assert (environ["wsgi.version"], environ["wsgi.url_scheme"]) == ([1, 0], "http")
    assert (environ["wsgi.multithread"], environ["wsgi.multiprocess"]) == (multithread, multiprocess)
    assert environ["wsgi.run_once"] is False


def test_43_wsgi_version_is_a_tuple(serve):
    server = serve("""
        def application(environ, start_response):
            start_response("200 OK", [])
            return [repr(environ["wsgi.version"]).encode()]
        """)
    assert server.get().body == b"(1, 0)"


def test_absolute_form_replaces_host(serve):
    environ = environ_of(serve(REPORT), get("http://real.example:81/a%20b?c", ("Host", "forged.example")))
    assert environ["HTTP_HOST"] == "real.example:81"
    assert (environ["PATH_INFO"], environ["QUERY_STRING"]) == ("/a b", "c")
    assert environ["RAW_URI"] == "http://real.example:81/a%20b?c"
