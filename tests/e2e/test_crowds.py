"""Does a crowd that does nothing, or vanishes, take more than it should, or keep anything from anybody?"""

import os

import pytest
from scenes import APPLICATION, ENDS, STATES, idle_connections, reset_in, slow_clients
from vitals import raise_descriptor_limit

#: How large crowds are: in continuous integration too, since they take seconds. `make faults` has larger ones still.
IDLE = int(os.environ.get("FAULTS_IDLE", "10000"))
SLOW = int(os.environ.get("FAULTS_SLOW", "600"))
RESETS = int(os.environ.get("FAULTS_RESETS", "40"))

MIB = 1 << 20

#: The deadlines of slow clients in these tests: time enough to let all of them come and to ask beside them.
SECONDS = 4


def test_idle_connections_cost_little_and_leave_nothing(serve):
    count = min(IDLE, raise_descriptor_limit() - 500)
    if count < 1000:
        pytest.skip("this machine allows a process too few descriptors (ulimit -Hn)")
    held = idle_connections(serve(APPLICATION, "--keep-alive", "600"), count)  # none has to go before the last has come
    print(held)
    assert held.bytes_each < 2048
    before, after = held.descriptors
    assert after <= before
    before, after = held.memory
    assert after < before + MIB, "a second crowd left something that the first had not"


@pytest.mark.parametrize("threads", ["1", "8"])
def test_slow_clients_keep_nothing_from_honest_ones_and_are_ended(serve, threads):
    """How long honest requests take beside them is a figure of `make faults`: here other programs run too."""
    limits = [f"--{name}={SECONDS}" for name in ("head-timeout", "body-timeout", "write-timeout", "keep-alive")]
    server = serve(APPLICATION, "--threads", threads, *limits)
    survived = slow_clients(server, SLOW, SECONDS)
    print(survived)
    assert {kind: set(ends) for kind, ends in survived.ends.items()} == {kind: {end} for kind, end in ENDS.items()}
    before, _, after = survived.memory
    assert after < before + 8 * MIB


@pytest.mark.parametrize("threads", ["1", "8"])
def test_clients_that_reset_in_any_state_leave_nothing(serve, threads):
    server = serve(APPLICATION, "--threads", threads, "--limit-response-spool=1M")
    for state in STATES:
        reset_in(state, server, RESETS)
        assert "ERROR" not in server.stderr and "Traceback" not in server.stderr, state
