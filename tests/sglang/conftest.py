"""A machine of its own for each test, and servers that are gone after it."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from machine import Machine  # noqa: E402
from server import Server  # noqa: E402


@pytest.fixture
def machine(tmp_path):
    machine = Machine(tmp_path)
    yield machine
    machine.close()


@pytest.fixture
def serve(machine):
    """Starts servers, waits until they are ready, and ends them with the test."""
    servers = []

    def start(*arguments, ready=True, **keywords):
        server = Server(machine, *arguments, **keywords)
        servers.append(server)
        if ready:
            server.wait_until_ready()
        return server

    yield start
    for server in servers:
        server.close()
