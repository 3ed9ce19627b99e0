"""Many threads take and give back at once, and at the end nothing is held: nor is it in the books."""

import subprocess

import own
import pytest
from conftest import PROGRAMS
from machine import VGPU


@pytest.mark.parametrize("part", ["contexts", "pools", "handles"])
def test_what_threads_get_that_others_are_just_giving_back_is_told_from_it(machine, part):
    program = machine.scratch / "crowd"
    driver = [f"-L{VGPU}", "-l:libcuda.so.1"]
    subprocess.run(["cc", "-O1", "-pthread", "-o", program, PROGRAMS / "crowd.c", *driver], check=True)
    out = machine.run(program, part, LD_LIBRARY_PATH=VGPU, **machine.preload())
    assert (out.returncode, out.stdout, out.stderr) == (0, "", "")
    (process,) = machine.report()["processes"]
    events = process["events"]
    assert own.held(process) == {}, events
    assert (events["unknown_frees"], events["dropped"], events["live_overflow"]) == (0, 0, 0), events
