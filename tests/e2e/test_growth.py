"""The lines that grew since the warm-up are those that PyTorch says hold more, live and in the trace."""

import json

from conftest import PROGRAMS
from machine import CHECKOUT, MEMTRACE, VPYTHON

MODULE = str(CHECKOUT / "python")
STEPS = 40
# The first fifth of the steps.
WARM = STEPS // 5


def grown(report):
    (process,) = [process for process in report["processes"] if process["cuda"]]
    named = {}
    for site in process["growth"]["sites"]:
        functions = [frame["function"] for frame in report["sites"][site["site"]]["frames"]]
        named[functions[functions.index("take") + 1]] = site
    return named, process["growth"]


def compare(report, told):
    named, growth = grown(report)
    assert named.keys() == {"keep"} and growth["others"] == 0
    first, last = told[WARM - 1], told[-1]
    keep = named["keep"]
    assert (keep["first_bytes"], keep["first_blocks"]) == (sum(first["kept"].values()), len(first["kept"]))
    assert (keep["last_bytes"], keep["last_blocks"]) == (sum(last["kept"].values()), len(last["kept"]))


def test_growth_is_what_pytorch_says_live_and_in_the_trace(machine):
    program = [VPYTHON, PROGRAMS / "growing.py", STEPS, 64 << 10]
    run = machine.start(MEMTRACE, "run", "-o", "trace", "--", *program, "wait", PYTHONPATH=MODULE)
    told = json.loads(run.stdout.readline())
    compare(machine.report("--growth", "3"), told)
    run.communicate("\n", timeout=60)
    assert run.returncode == 0
    assert machine.report("trace")["processes"][0]["growth"] is None


def test_growth_of_a_process_that_was_killed_is_as_of_its_death(machine):
    program = [VPYTHON, PROGRAMS / "growing.py", STEPS, 64 << 10]
    run = machine.start(MEMTRACE, "run", "-o", "trace", "--", *program, "kill", PYTHONPATH=MODULE)
    out, _ = run.communicate(timeout=60)
    told = json.loads(out.splitlines()[0])
    assert run.returncode == 137
    report = machine.report("trace", "--growth", "1")
    compare(report, told)
    text = machine.run(MEMTRACE, "report", "trace", "--growth", "1").stdout
    assert "the end of its warm-up, by line:" in text and "growing.py:" in text
