"""What do the signals do that service files and logrotate rules made for gunicorn send?"""

import os
import signal

import pytest
from server import children, process_fields
from vitals import worker
from waiting import eventually

APPLICATION = """
    def application(environ, start_response):
        start_response("200 OK", [])
        return [environ["PATH_INFO"].encode()]
    """

#: Signals that mean something to gunicorn's arbiter and nothing here, and a word of what the log says to do instead.
IGNORED = {"HUP": "restart", "USR2": "restart", "WINCH": "TERM", "TTIN": "more", "TTOU": "fewer"}


def number(name):
    return getattr(signal, f"SIG{name}")


@pytest.mark.parametrize("name", IGNORED)
def test_what_means_nothing_here_is_ignored_with_a_line_that_says_what_to_do(serve, name):
    server = serve(APPLICATION, "--workers", "2")
    assert server.get("/before").body == b"/before"
    eventually(lambda: server.stderr.count("is ready") == 2, "both workers are ready")
    workers = sorted(children(server.pid))
    server.signal(number(name))
    server.wait_for_log(f"{name} is ignored: ")
    lines = [line for line in server.stderr.splitlines() if "is ignored" in line]
    assert len(lines) == 1 and IGNORED[name] in lines[0]
    assert server.get("/after").body == b"/after"
    assert sorted(children(server.pid)) == workers
    assert process_fields(server.pid)[0] != "T", "it has been stopped"
    assert "has gone" not in server.stderr


def test_a_reload_that_is_sent_again_is_said_again(serve):
    server = serve(APPLICATION)
    server.wait_for_log("is ready")
    for count in (1, 2, 3):
        server.signal(signal.SIGHUP)
        eventually(lambda: server.stderr.count("HUP is ignored") == count, f"line {count}")


def test_usr1_without_an_access_log_harms_nobody(serve):
    server = serve(APPLICATION)
    pid = worker(server)
    server.wait_for_log("is ready")
    server.signal(signal.SIGUSR1)
    server.wait_for_log("opening log files anew")
    assert server.get().status == 200
    assert worker(server) == pid


@pytest.mark.parametrize("threads", ["1", "4"])
def test_usr1_to_every_process_of_the_server_kills_none(serve, threads):
    """As `pkill -USR1 funicorn` does it."""
    server = serve(APPLICATION, "--workers", "2", "--threads", threads, "--access-logfile", "access.log")
    eventually(lambda: server.stderr.count("is ready") == 2, "both workers are ready")
    workers = sorted(children(server.pid))
    for pid in [*workers, server.pid, *workers]:
        os.kill(pid, signal.SIGUSR1)
    server.wait_for_log("opening log files anew")
    assert server.get().status == 200
    assert sorted(children(server.pid)) == workers


@pytest.mark.parametrize("name", ["HUP", "USR1", "USR2", "WINCH", "TTIN", "TTOU"])
def test_a_handler_of_the_application_hears_what_is_sent_to_the_worker(serve, name):
    server = serve(f"""
        import os, signal
        signal.signal(signal.SIG{name}, lambda number, frame: open("heard", "a").write("x"))
        def application(environ, start_response):
            start_response("200 OK", [])
            return [str(os.getpid()).encode()]
        """)
    pid = int(server.get().body)
    os.kill(pid, number(name))

    def is_heard():
        """A handler in Python may need a request to run in."""
        return int(server.get().body) == pid and server.note("heard")

    assert eventually(is_heard, "the handler runs") == "x"


@pytest.mark.parametrize("name", ["HUP", "USR2"])
def test_a_worker_without_a_handler_is_ended_by_what_is_sent_to_it_and_replaced(serve, name):
    server = serve(APPLICATION)
    pid = worker(server)
    server.wait_for_log("is ready")
    os.kill(pid, number(name))
    server.wait_for_log(f"was killed by SIG{name}")
    eventually(lambda: server.stderr.count("is ready") == 2, "another worker")
    assert server.get().status == 200


def test_a_program_that_the_application_starts_has_its_defaults(serve):
    server = serve("""
        import subprocess
        def application(environ, start_response):
            script = "kill -USR1 $$; echo survived"
            ended = subprocess.run(["sh", "-c", script], stdout=subprocess.PIPE)
            start_response("200 OK", [])
            return [str(ended.returncode).encode()]
        """)
    assert server.get().body == str(-signal.SIGUSR1).encode()
