"""Does a crowd that does nothing, or vanishes, take more than it should, or keep anything from anybody?"""

import os

import pytest
from scenes import APPLICATION, STATES, idle_connections, reset_in
from vitals import raise_descriptor_limit

#: How large crowds are, next to `make faults`.
IDLE = int(os.environ.get("FAULTS_IDLE", "10000"))
RESETS = int(os.environ.get("FAULTS_RESETS", "40"))

MIB = 1 << 20


def test_idle_connections_cost_little_and_leave_nothing(serve):
    count = min(IDLE, raise_descriptor_limit() - 500)
    held = idle_connections(serve(APPLICATION), count)
    print(held)
    assert held.bytes_each < 2048
    before, after = held.descriptors
    assert after <= before
    before, after = held.memory
    assert after < before + MIB, "a second crowd left something that the first had not"


@pytest.mark.parametrize("threads", ["1", "8"])
def test_clients_that_reset_in_any_state_leave_nothing(serve, threads):
    server = serve(APPLICATION, "--threads", threads)
    for state in STATES:
        reset_in(state, server, RESETS)
        assert "ERROR" not in server.stderr and "Traceback" not in server.stderr, state
