"""A machine of its own for each test, and servers that are gone after it."""

import contextlib
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from machine import Machine, end_tidily  # noqa: E402
from server import Server  # noqa: E402

end_tidily()


@pytest.fixture
def machine(tmp_path):
    machine = Machine(tmp_path)
    yield machine
    machine.close()


@pytest.fixture
def serve(machine):
    """Starts servers, waits until they are ready, and ends them with the test."""

    def start(ending, *arguments, ready=True, **keywords):
        server = ending.enter_context(Server(machine, *arguments, **keywords))
        if ready:
            server.wait_until_ready()
        return server

    with contextlib.ExitStack() as ending:
        yield lambda *arguments, **keywords: start(ending, *arguments, **keywords)
