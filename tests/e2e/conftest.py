"""A machine of its own for each test, and the programs that run on it."""

import pathlib
import sys

import pytest

PROGRAMS = pathlib.Path(__file__).resolve().parent / "programs"
sys.path.insert(0, str(PROGRAMS.parents[1] / "support"))

from machine import SUPPORT, VPYTHON, Machine  # noqa: E402


class ProgramMachine(Machine):
    """A machine that runs the programs of this folder, which may import from the support folder."""

    def python(self, program, *arguments, timeout=300, **environment):
        environment.setdefault("PYTHONPATH", str(SUPPORT))
        return self.run(VPYTHON, PROGRAMS / program, *arguments, timeout=timeout, **environment)


@pytest.fixture
def machine(tmp_path):
    machine = ProgramMachine(tmp_path)
    yield machine
    machine.close()
