"""Growth that no call shows: when it was, and what the process did in that second."""

import json

from conftest import PROGRAMS
from machine import MEMTRACE, VGPU, VPYTHON

MIB = 1 << 20
CODE = 24


def test_code_that_is_loaded_as_a_program_goes_on_stands_beside_what_it_costs(machine):
    # Long enough for a busy machine, which compiles the first for some seconds.
    program = [VPYTHON, PROGRAMS / "recompiling.py", "16", "2"]
    out = machine.run(
        *(MEMTRACE, "run", "-o", "trace", "--", *program),
        LD_LIBRARY_PATH=VGPU,
        VGPU_MODULE_MB=str(CODE),
        TRITON_CACHE_DIR=str(machine.scratch / "triton"),
    )
    assert out.returncode == 0, out.stdout + out.stderr
    processes = [process for process in machine.report("trace")["processes"] if process["devices"]]
    (device,) = processes[0]["devices"]
    first, *later = device["untracked_steps"]
    made = {call["what"]: call["count"] for call in first["calls"]}
    assert made["context made"] == 1, json.dumps(first)
    assert len(later) >= 3, json.dumps(device["untracked_steps"])
    for step in later:
        (call,) = step["calls"]
        assert (call["what"], step["bytes"]) == ("module loaded", call["count"] * CODE * MIB), json.dumps(step)
