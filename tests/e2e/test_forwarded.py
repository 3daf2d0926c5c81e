"""Whose word counts about who the client is? Forwarding headers, of honest proxies and of those who lie."""

import json

import pytest
from wire import request

#: Answers with every value of the environ that is a string.
REPORT = """
    import json
    def application(environ, start_response):
        open("called", "a").write("x")
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps({k: v for k, v in environ.items() if type(v) is str}).encode()]
    """
#: What the application may take for the truth about its client.
TRUTH = (
    "REMOTE_ADDR", "REMOTE_PORT", "wsgi.url_scheme", "HTTPS", "SERVER_NAME", "SERVER_PORT", "HTTP_HOST", "SCRIPT_NAME",
    "PATH_INFO", "CONTENT_TYPE", "CONTENT_LENGTH", "REMOTE_USER", "HTTP_PROXY",
)  # fmt: skip
ALL = "x-forwarded-for,x-forwarded-proto,x-forwarded-host,x-forwarded-port,x-forwarded-prefix"
#: What a liar would send.
LIES = (
    ("X-Forwarded-For", "6.6.6.6"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Host", "evil.example"),
    ("X-Forwarded-Port", "666"),
    ("X-Forwarded-Prefix", "/evil"),
    ("Forwarded", "for=6.6.6.6;proto=https;host=evil.example"),
)


def environ_of(connection, *headers, target="/", method="GET"):
    response = connection.request(method, target, headers)
    assert response.status == 200, response
    return json.loads(response.body)


def one(server, *headers, target="/"):
    with server.connect() as connection:
        return environ_of(connection, *headers, target=target)


def truth(environ):
    return {key: environ[key] for key in TRUTH if key in environ}


def unix(serve, tmp_path, *flags):
    server = serve(REPORT, "--bind", f"unix:{tmp_path}/socket", *flags, host=None)
    server.address = f"{tmp_path}/socket"
    return server


def assert_refused(server, *headers):
    """The request is turned away with 400 before the application hears of it, and the connection ends."""
    with server.connect() as connection:
        connection.send(request("GET", "/", headers))
        response = connection.response()
        assert (response.status, response.header("Connection")) == (400, "close")
        assert b"forwarding header" in response.body
        connection.finish_sending()
        connection.assert_ended()
    assert server.note("called") == ""


# An honest proxy


@pytest.mark.parametrize(
    "flags", [[], ["--forwarded-allow-ips", "10.0.0.0/8,127.0.0.0/8"], ["--forwarded-allow-ips", "*"]]
)
def test_the_client_of_a_proxy_is_the_peer(serve, flags):
    environ = one(serve(REPORT, *flags), ("X-Forwarded-For", "192.0.2.1"), ("X-Forwarded-Proto", "https"))
    assert environ["REMOTE_ADDR"] == "192.0.2.1"
    assert "REMOTE_PORT" not in environ
    assert (environ["wsgi.url_scheme"], environ["HTTPS"]) == ("https", "on")
    assert (environ["HTTP_X_FORWARDED_FOR"], environ["HTTP_X_FORWARDED_PROTO"]) == ("192.0.2.1", "https")


def test_over_a_unix_socket_too(serve, tmp_path):
    environ = one(unix(serve, tmp_path), ("X-Forwarded-For", "2001:db8::1"), ("X-Forwarded-Proto", "https"))
    assert environ["REMOTE_ADDR"] == "2001:db8::1"
    # The client asked for the default port of its scheme.
    assert (environ["wsgi.url_scheme"], environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("https", "test", "443")


def test_over_ipv6_too(serve):
    assert one(serve(REPORT, host="::1"), ("X-Forwarded-For", "192.0.2.1"))["REMOTE_ADDR"] == "192.0.2.1"


def test_each_request_of_a_connection_has_its_own_client(serve):
    with serve(REPORT).connect() as connection:
        own = connection.socket.getsockname()
        for last in (1, 2, 2, 3):
            assert environ_of(connection, ("X-Forwarded-For", f"192.0.2.{last}"))["REMOTE_ADDR"] == f"192.0.2.{last}"
        # One that says nothing is the peer's own again, and nothing is left over from its predecessor.
        environ = environ_of(connection)
        assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == (own[0], str(own[1]))
        assert (environ["wsgi.url_scheme"], "HTTPS" in environ) == ("http", False)


def test_pipelined_requests_have_their_own_clients(serve):
    with serve(REPORT).connect() as connection:
        chains = [f"192.0.2.{last}" for last in range(1, 20)]
        connection.send(b"".join(request("GET", "/", (("X-Forwarded-For", chain),)) for chain in chains))
        assert [json.loads(connection.response().body)["REMOTE_ADDR"] for _ in chains] == chains


def test_the_access_log_names_the_client(serve):
    server = serve(REPORT, "--access-logfile", "access.log")
    server.get("/", ("X-Forwarded-For", "192.0.2.1"))
    server.get("/", ("X-Forwarded-For", "unknown"))
    server.stop()
    assert [line.split()[0] for line in server.note("access.log").splitlines()] == ["192.0.2.1", "-"]


def test_a_client_that_the_proxy_conceals_has_no_address(serve):
    environ = one(serve(REPORT), ("X-Forwarded-For", "6.6.6.6, unknown"))
    assert (environ["REMOTE_ADDR"], "REMOTE_PORT" in environ) == ("", False)


def test_a_port_in_the_chain_is_the_clients(serve):
    environ = one(serve(REPORT), ("X-Forwarded-For", "[2001:db8::1]:4711"))
    assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == ("2001:db8::1", "4711")


def test_host_port_and_prefix_are_opt_in(serve):
    environ = one(
        serve(REPORT, "--forwarded-headers", ALL, "--root-path", "/inner"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "shop.example"),
        ("X-Forwarded-Port", "8443"),
        ("X-Forwarded-Prefix", "/shop"),
        target="/shop/basket",
    )
    assert environ["HTTP_HOST"] == "shop.example:8443"
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("shop.example", "8443")
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/shop", "/basket")


def test_the_host_of_the_proxy_counts_more_than_an_absolute_target(serve):
    server = serve(REPORT, "--forwarded-headers", ALL)
    environ = one(server, ("X-Forwarded-Host", "shop.example"), target="http://evil.example/a")
    assert (environ["HTTP_HOST"], environ["PATH_INFO"]) == ("shop.example", "/a")
    # Without it the target is all that is known, as without a proxy.
    assert one(server, target="http://other.example/a")["HTTP_HOST"] == "other.example"


def test_the_standard_header(serve):
    server = serve(REPORT, "--forwarded-headers", "forwarded", "--forwarded-allow-ips", "127.0.0.1,10.0.0.0/8")
    environ = one(
        server,
        ("Forwarded", 'for=6.6.6.6;host=evil.example, For="[2001:db8::1]:4711";Proto=https;Host="shop.example"'),
        ("Forwarded", 'for=10.0.0.1;proto=http;by="_inner"'),
    )
    assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == ("2001:db8::1", "4711")
    assert (environ["wsgi.url_scheme"], environ["HTTP_HOST"], environ["SERVER_PORT"]) == (
        "https",
        "shop.example",
        "443",
    )
    assert one(server, ("Forwarded", "for=_hidden"))["REMOTE_ADDR"] == ""
    for silent in ("", "for=6.6.6.6,", "for=-", 'for=6.6.6.6, by="_inner"'):
        assert one(server, ("Forwarded", silent))["REMOTE_ADDR"] == "127.0.0.1"
    assert_not_fooled(server, *LIES[:-1])


# Others


def assert_not_fooled(server, *headers, target="/"):
    """These headers change nothing of what the application may believe."""
    with server.connect() as connection:
        honest = truth(environ_of(connection, target=target))
        assert truth(environ_of(connection, *headers, target=target)) == honest


def test_a_peer_outside_of_the_list_is_believed_nothing(serve):
    server = serve(REPORT, "--forwarded-allow-ips", "10.0.0.0/8,unix,::1", "--forwarded-headers", ALL)
    assert_not_fooled(server, *LIES)
    # What it has sent stays to be seen, for whoever wants to look at it.
    assert one(server, *LIES)["HTTP_X_FORWARDED_FOR"] == "6.6.6.6"
    # However broken it is, it is nobody's business.
    assert_not_fooled(server, *LIES, *LIES, ("X-Forwarded-For", "garbage,"), ("X-Forwarded-Proto", "x,y"))


def test_a_unix_socket_outside_of_the_list_is_believed_nothing(serve, tmp_path):
    assert_not_fooled(unix(serve, tmp_path, "--forwarded-allow-ips", "127.0.0.1"), *LIES)


@pytest.mark.parametrize("flags, env", [([], ""), ([], "192.0.2.7"), (["--forwarded-allow-ips", "::1"], "127.0.0.1")])
def test_the_list_comes_from_the_environment_and_a_flag_wins(serve, flags, env):
    assert_not_fooled(serve(REPORT, *flags, env={"FORWARDED_ALLOW_IPS": env}), *LIES)


def test_the_list_from_the_environment_is_heard(serve):
    server = serve(REPORT, env={"FORWARDED_ALLOW_IPS": "127.0.0.1,10.0.0.0/8"})
    assert one(server, ("X-Forwarded-For", "192.0.2.1, 10.0.0.1"))["REMOTE_ADDR"] == "192.0.2.1"


def test_a_header_outside_of_the_set_is_the_clients_own_word(serve):
    # The proxy sets two headers and passes on the others, which its client has made up.
    server = serve(REPORT)
    honest = ("X-Forwarded-For", "192.0.2.1"), ("X-Forwarded-Proto", "http")
    environ = one(
        server, *honest, *LIES[2:], ("X-Forwarded-Ssl", "on"), ("X-Real-Ip", "6.6.6.6"), ("Front-End-Https", "on")
    )
    assert (environ["REMOTE_ADDR"], environ["wsgi.url_scheme"]) == ("192.0.2.1", "http")
    assert (environ["HTTP_HOST"], environ["SCRIPT_NAME"]) == ("test", "")
    assert "HTTPS" not in environ


@pytest.mark.parametrize(
    "chain",
    [
        ["6.6.6.6, 192.0.2.1"],
        ["127.0.0.1, 192.0.2.1"],
        ["6.6.6.6", "192.0.2.1"],
        ["6.6.6.6, 127.0.0.1", "192.0.2.1"],
        ["127.0.0.1,127.0.0.1,127.0.0.1, 192.0.2.1"],
        ["garbage, , \" , 192.0.2.1"],
        [",192.0.2.1,127.0.0.1"],
        ["\t192.0.2.1\t"],
        ["6.6.6.6,192.0.2.1, ::1, 127.0.0.1, ::ffff:127.0.0.1, unix:"],
        ["127.0.0.1," * 700, "127.0.0.1," * 700 + "192.0.2.1"],
    ],
)  # fmt: skip
def test_a_client_in_front_of_an_appending_proxy_cannot_be_another(serve, chain):
    assert one(serve(REPORT), *[("X-Forwarded-For", line) for line in chain])["REMOTE_ADDR"] == "192.0.2.1"


def test_the_star_does_not_believe_what_the_client_of_the_proxy_says(serve):
    server = serve(REPORT, "--forwarded-allow-ips", "*")
    assert one(server, ("X-Forwarded-For", "6.6.6.6, 192.0.2.1"))["REMOTE_ADDR"] == "192.0.2.1"


@pytest.mark.parametrize(
    "name",
    ["X_Forwarded_For", "X-Forwarded_For", "x_forwarded-for", "HTTP_X_FORWARDED_FOR", "Http-X-Forwarded-For",
     "REMOTE_ADDR", "Remote-Addr", "X-Forwarded-For-", "-X-Forwarded-For", "X.Forwarded.For", "wsgi.url_scheme",
     "HTTPS", "SCRIPT_NAME", "Path_Info", "REMOTE_USER", "Remote-User", "Server-Name", "Content_Type",
     "CONTENT_LENGTH", "HTTP_HOST", "Http-Host", "Proxy", "PROXY"],
)  # fmt: skip
@pytest.mark.parametrize("map", ["drop", "dangerous"])
def test_names_that_resemble_do_nothing(serve, name, map):
    assert_not_fooled(serve(REPORT, "--forwarded-headers", ALL, "--header-map", map), (name, "6.6.6.6"))


@pytest.mark.parametrize("value", ["garbage", "192.0.2.1, garbage", "192.0.2.1 127.0.0.1", "192.0.2.1:99999",
                                   "010.0.0.1", "fe80::1%lo", "_hidden", "6.6.6.6, unknown, 127.0.0.1",
                                   "caf\xe9"])  # fmt: skip
def test_a_word_in_the_chain_that_is_no_address_is_a_client_without_one(serve, value):
    environ = one(serve(REPORT), ("X-Forwarded-For", value), ("X-Forwarded-Proto", "https"))
    assert (environ["REMOTE_ADDR"], "REMOTE_PORT" in environ) == ("", False)
    assert environ["wsgi.url_scheme"] == "https"


@pytest.mark.parametrize("value", ["", "-", ",", "192.0.2.1,", "192.0.2.1, -", "192.0.2.1, ,127.0.0.1"])
def test_an_entry_that_says_nothing_is_not_passed_over(serve, value):
    environ = one(serve(REPORT), ("X-Forwarded-For", value), ("X-Forwarded-Proto", "https"))
    assert environ["REMOTE_ADDR"] == "127.0.0.1"
    assert environ["wsgi.url_scheme"] == "https"


@pytest.mark.parametrize(
    "lines, scheme",
    [
        (["https, https"], "https"),
        (["http,https"], "https"),
        (["https,http"], "http"),
        (["http", "https"], "https"),
        (["https", "http"], "http"),
        (["javascript, https"], "https"),
        (["https,"], "http"),
        (["", "https"], "https"),
        (["javascript"], "http"),
        ([""], "http"),
    ],
)
def test_the_scheme_is_the_last_of_its_list(serve, lines, scheme):
    environ = one(serve(REPORT), *[("X-Forwarded-Proto", line) for line in lines])
    assert environ["wsgi.url_scheme"] == scheme


def test_host_port_and_prefix_are_the_last_of_their_lists(serve):
    environ = one(
        serve(REPORT, "--forwarded-headers", ALL),
        ("X-Forwarded-Host", "user@evil.example, shop.example"),
        ("X-Forwarded-Port", "666"),
        ("X-Forwarded-Port", "+80 , 8443"),
        ("X-Forwarded-Prefix", "//evil.example,/shop"),
    )
    assert (environ["HTTP_HOST"], environ["SERVER_PORT"]) == ("shop.example:8443", "8443")
    assert environ["SCRIPT_NAME"] == "/shop"


def test_headers_that_say_nothing_change_nothing(serve):
    server = serve(REPORT, "--forwarded-headers", ALL, "--root-path", "/inner")
    names = "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Prefix"
    for value in ("", "-", "evil,", "+443"):
        lies = [(name, value) for name in names if value != "+443" or name == "X-Forwarded-Port"]
        environ = one(server, *lies)
        assert (environ["HTTP_HOST"], environ["SCRIPT_NAME"]) == ("test", "/inner")
        assert (environ["wsgi.url_scheme"], "HTTPS" in environ) == ("http", False)


@pytest.mark.parametrize(
    "headers",
    [
        [("X-Forwarded-Host", "user@a")],
        [("X-Forwarded-Host", "a"), ("X-Forwarded-Host", "b/")],
        [("X-Forwarded-Host", "a, b c")],
        [("X-Forwarded-Prefix", "//evil.example")],
        [("X-Forwarded-Prefix", "/a, /b/../c")],
        [("X-Forwarded-Prefix", "/a%0d%0a")],
    ],
)
def test_what_a_proxy_would_not_say_is_refused(serve, headers):
    assert_refused(serve(REPORT, "--forwarded-headers", ALL), *headers)


@pytest.mark.parametrize(
    "lines",
    [
        # A string that the client leaves open would swallow what the proxy appends.
        ['for=6.6.6.6;x=", for=192.0.2.1'],
        ['for="6.6.6.6, for="[2001:db8::1]:80"'],
        ['for="6.6.6.6', 'for="192.0.2.1"'],
        ["for=192.0.2.1;for=6.6.6.6"],
        ["for=192.0.2.1;proto=http;proto=https"],
        ["for=6.6.6.6, 192.0.2.1"],
        ["for=192.0.2.1;host=user@a"],
    ],
)
def test_a_standard_header_that_cannot_be_read_is_refused(serve, lines):
    server = serve(REPORT, "--forwarded-headers", "forwarded")
    assert_refused(server, *[("Forwarded", line) for line in lines])


def test_a_refusal_comes_before_the_body_is_asked_for(serve):
    with serve(REPORT, "--forwarded-headers", ALL).connect() as connection:
        headers = ("Expect", "100-continue"), ("Content-Length", "5"), ("X-Forwarded-Host", "user@a")
        connection.send(request("POST", "/", headers))
        assert connection.response().status == 400


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--forwarded-headers", "forwarded,x-forwarded-for"], "exclude each other"),
        (["--forwarded-headers", "x-real-ip"], '"x-real-ip" is no forwarding header'),
        (["--forwarded-allow-ips", "localhost"], '"localhost" is no peer'),
        (["--forwarded-allow-ips", "10.0.0.1/8"], "write 10.0.0.0/8"),
    ],
)
def test_a_wrong_setting_ends_with_a_sentence(serve, flags, words):
    server = serve(REPORT, *flags)
    assert server.wait() == 2
    assert words in server.stderr
