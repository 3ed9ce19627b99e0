"""numba-cuda on each CPython at hand: what it takes is told as it counts it itself, with the program's lines."""

import pathlib

import pytest
from machine import VGPU

VERSIONS = ["3.10", "3.11", "3.12", "3.13"]


@pytest.mark.parametrize("version", VERSIONS)
def test_arrays_are_what_numba_says(machine, version):
    environment = f"clients/py{version}"
    if not pathlib.Path(VGPU, environment, "venv/bin/python").exists():
        pytest.skip(f"no CPython {version} with numba-cuda here: tests/env/setup clients takes it from PATH or pyenv")
    out = machine.python(
        "numba_arrays.py", VPYTHON_ENV=environment, VGPU_LOG=str(machine.scratch), **machine.preload()
    )
    assert (out.returncode, out.stdout) == (0, "rests\n" * 4), out.stdout + out.stderr
