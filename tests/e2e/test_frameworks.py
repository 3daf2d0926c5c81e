"""Are the example applications served, correctly, under wsgiref.validate, over keep-alive, with one and with eight threads?"""

import hashlib
import http.client
import os
import re
import signal
import subprocess
import sys
import threading

import pytest
import requests
from server import EXAMPLES
from waiting import DEADLINE

#: The application of the module and the name that X_APPLICATION gives, checked at every call by wsgiref.validate.
#:
#: The validator wants `wsgi.input.read` to be called with a size, as PEP 333 had it. Werkzeug (Flask) leaves it out, as
#: PEP 3333 allows, when `wsgi.input_terminated` says that the input ends; so the application does not see that here.
VALIDATED = """
    import importlib, os
    from wsgiref.validate import validator
    module, _, name = os.environ["X_APPLICATION"].partition(":")
    plain = getattr(importlib.import_module(module), name)
    def sized(environ, start_response):
        del environ["wsgi.input_terminated"]
        return plain(environ, start_response)
    application = validator(sized)
    """

#: The same in company: linear algebra in each call, a profiler for every thread, and a thread that outlives its request.
IN_COMPANY = (
    VALIDATED
    + """
    import threading, time
    import numpy
    profiled = set()
    threading.setprofile(lambda frame, event, argument: profiled.add(threading.get_ident()))
    def outlive():
        while not os.path.exists("stopping"):
            time.sleep(0.01)
        open("outlived", "a").write("x")
    alone, first = application, threading.Lock()
    def application(environ, start_response):
        if first.acquire(blocking=False):
            threading.Thread(target=outlive).start()
        numpy.linalg.inv(numpy.random.rand(200, 200))
        assert threading.current_thread() is threading.main_thread() or threading.get_ident() in profiled
        return alone(environ, start_response)
    """
)


@pytest.fixture(params=["1", "8", "1 in company", "8 in company"])
def example(request, serve):
    """Starts an example under the validator: `example("flask_app:app")`. At the end it has nothing to complain about."""
    servers = []
    threads, _, company = request.param.partition(" ")
    if company:
        pytest.importorskip("numpy")

    def start(spec, directory=EXAMPLES, env=None):
        flags = ["--threads", threads, "--pythonpath", str(directory)]
        source = IN_COMPANY if company else VALIDATED
        server = serve(source, *flags, env={"X_APPLICATION": spec, **(env or {})})
        server.url = "http://%s:%d" % server.address
        servers.append(server)
        return server

    yield start
    for server in servers:
        if company:
            server.signal(signal.SIGTERM)
            (server.directory / "stopping").touch()
            assert server.wait() == 0
            assert server.note("outlived") == "x", "the thread was waited for"
        assert "Traceback" not in server.stderr and "AssertionError" not in server.stderr


def greet(session, url):
    """The article's example: GET says Hello World, POST echoes the JSON."""
    response = session.get(f"{url}/hola")
    assert (response.status_code, response.text) == (200, "Hello World")
    for value in ({"name": "Funicorn"}, {"text": "\u00fcber \u2603" * 1000, "list": [1, None, 2.5]}):
        response = session.post(f"{url}/hola", json=value)
        assert (response.status_code, response.json()) == (200, value)
    assert session.get(f"{url}/nowhere").status_code == 404


@pytest.mark.parametrize("spec", ["flask_app:app", "falcon_app:app", "bottle_app:app"])
def test_requests_over_keep_alive(example, spec):
    server = example(spec)
    with requests.Session() as session:
        for _ in range(10):
            greet(session, server.url)


@pytest.mark.parametrize("spec", ["flask_app:app", "falcon_app:app", "bottle_app:app"])
def test_http_client_over_one_connection(example, spec):
    server = example(spec)
    connection = http.client.HTTPConnection(*server.address, timeout=DEADLINE)
    connection.connect()
    socket = connection.sock
    for number in range(20):
        connection.request("GET", "/hola")
        assert connection.getresponse().read() == b"Hello World"
        body = b'{"number": %d}' % number
        connection.request("POST", "/hola", body, {"Content-Type": "application/json"})
        assert connection.getresponse().read().replace(b" ", b"").strip() == body.replace(b" ", b"")
        connection.request("HEAD", "/hola")
        assert connection.getresponse().read() == b""
    assert connection.sock is socket, "the connection was not kept"
    connection.close()


@pytest.mark.parametrize("spec", ["flask_app:app", "falcon_app:app", "bottle_app:app"])
def test_many_clients_at_once(example, spec):
    server = example(spec)
    failures = []

    def client():
        try:
            with requests.Session() as session:
                for _ in range(3):
                    greet(session, server.url)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=client) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


@pytest.mark.parametrize("spec", ["flask_app:app", "falcon_app:app", "bottle_app:app"])
def test_a_chunked_upload_of_json(serve, spec):
    server = serve(None, "--pythonpath", str(EXAMPLES), spec=spec)
    response = requests.post(
        "http://%s:%d/hola" % server.address,
        data=iter([b'{"name":', b' "Funicorn"}']),
        headers={"Content-Type": "application/json"},
    )
    assert (response.status_code, response.json()) == (200, {"name": "Funicorn"})


@pytest.mark.parametrize("spec", ["falcon_app:app", "bottle_app:app"])
def test_a_file_by_the_servers_wrapper(example, spec):
    server = example(spec)
    source = EXAMPLES / (spec.partition(":")[0] + ".py")
    with requests.Session() as session:
        for _ in range(3):
            assert session.get(f"{server.url}/source").content == source.read_bytes()


def test_bottle_answers_ranges_and_conditions(example):
    server = example("bottle_app:app")
    source = (EXAMPLES / "bottle_app.py").read_bytes()
    with requests.Session() as session:
        whole = session.get(f"{server.url}/source")
        part = session.get(f"{server.url}/source", headers={"Range": "bytes=10-19"})
        assert (part.status_code, part.content) == (206, source[10:20])
        same = session.get(f"{server.url}/source", headers={"If-Modified-Since": whole.headers["Last-Modified"]})
        assert (same.status_code, same.content) == (304, b"")
        assert session.head(f"{server.url}/source").headers["Content-Length"] == str(len(source))


def test_hello(example):
    server = example("hello:application")
    assert requests.get(server.url).text == "Hello World\n"


def test_streaming(example):
    server = example("streaming:application")
    assert requests.get(f"{server.url}/?count=1").text == "tick 0\n"


@pytest.fixture
def django(example, tmp_path):
    """The Django site with its database and its static files in the test's directory."""
    site = EXAMPLES / "django_site"
    env = {**os.environ, "DJANGO_DATA": str(tmp_path), "DJANGO_SUPERUSER_PASSWORD": "a password of the test"}
    for arguments in (
        ["migrate", "--verbosity", "0"],
        ["collectstatic", "--no-input", "--verbosity", "0"],
        ["createsuperuser", "--no-input", "--username", "admin", "--email", "admin@example.org", "--verbosity", "0"],
    ):
        subprocess.run([sys.executable, "-B", str(site / "manage.py"), *arguments], env=env, check=True)
    return example("site_project.wsgi:application", site, {"DJANGO_DATA": str(tmp_path)})


def test_django_with_its_admin_site(django):
    with requests.Session() as session:
        assert session.get(django.url).text == "Hello World"
        page = session.get(f"{django.url}/admin/login/?next=/admin/")
        assert page.status_code == 200 and "Django administration" in page.text
        token = re.search('name="csrfmiddlewaretoken" value="([^"]+)"', page.text)[1]
        form = {
            "username": "admin",
            "password": "a password of the test",
            "csrfmiddlewaretoken": token,
            "next": "/admin/",
        }
        welcome = session.post(f"{django.url}/admin/login/", data=form, headers={"Referer": page.url})
        assert welcome.status_code == 200 and "Site administration" in welcome.text
        users = session.get(f"{django.url}/admin/auth/user/")
        assert "admin@example.org" in users.text

        # The static files that the login page names, by whitenoise, and their conditional form.
        styles = re.findall('href="(/static/[^"]+css)"', page.text)
        assert styles
        for path in styles:
            answer = session.get(django.url + path)
            assert answer.status_code == 200 and answer.headers["Content-Type"].startswith("text/css")
            assert len(answer.content) == int(answer.headers["Content-Length"])
            again = session.get(django.url + path, headers={"If-Modified-Since": answer.headers["Last-Modified"]})
            assert (again.status_code, again.content) == (304, b"")

        # A form with files, in a body that is spooled, with a length and chunked.
        content = os.urandom(3 << 20)
        expected = {"file": [len(content), hashlib.sha256(content).hexdigest()]}
        assert session.post(f"{django.url}/upload", files={"file": content}).json() == expected
        prepared = requests.Request("POST", f"{django.url}/upload", files={"file": content}).prepare()
        prepared.body = iter([prepared.body[:1000], prepared.body[1000:]])
        del prepared.headers["Content-Length"]
        prepared.headers["Transfer-Encoding"] = "chunked"
        assert session.send(prepared).json() == expected
