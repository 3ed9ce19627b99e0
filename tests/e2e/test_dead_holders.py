"""Case S17: memory that nobody seems to hold is told with who does, and with what ends it."""

import json
import os
import signal
import time

import pytest
from conftest import PROGRAMS
from machine import MEMTRACE, VGPU, VPYTHON

CONTEXT = 500 << 20


@pytest.fixture
def sign(machine):
    path = machine.scratch / "end"
    yield path
    path.touch()


def ready(sign):
    """What a program holds, and its pid, once it does."""
    said = sign.with_name(f"{sign.name}.ready")
    until = time.monotonic() + 120
    while not said.exists():
        assert time.monotonic() < until
        time.sleep(0.05)
    return map(int, said.read_text().split())


def left(report):
    return [finding for finding in report["findings"] if finding["verdict"] == "dead-holder"]


def test_a_process_that_outlives_its_job_is_told_until_it_has_ended(machine, sign):
    trace = machine.scratch / "trace"
    job = [VPYTHON, PROGRAMS / "case_s17.py", "orphan", sign]
    out = machine.run(MEMTRACE, "run", "-o", trace, "--", *job, LD_LIBRARY_PATH=VGPU)
    assert out.returncode == 0, out.stderr
    held, pid = ready(sign)
    assert f"kill {pid}" in out.stderr
    until = time.monotonic() + 60
    while True:
        (finding,) = left(machine.report(trace))
        if finding["confidence"] == "alert":
            break
        # For some seconds it may be about to end.
        assert finding["confidence"] == "suspect" and time.monotonic() < until
        time.sleep(0.5)
    assert (finding["cause"], finding["instances"][0]["pid"]) == ("orphan", pid)
    assert {number["what"]: number["value"] for number in finding["evidence"]}["reserved last"] == held
    assert finding["bytes"] == held + CONTEXT
    os.kill(pid, signal.SIGKILL)
    while left(machine.report(trace)):
        assert time.monotonic() < until
        time.sleep(0.1)


def test_a_process_that_looks_dead_is_told_while_the_driver_counts_its_memory(machine, sign):
    other = machine.scratch / "other"
    programs = [
        machine.start(VPYTHON, PROGRAMS / "case_s17.py", how, path, **machine.preload())
        for how, path in [("thread", sign), ("bystander", other)]
    ]
    held, pid = ready(sign)
    ready(other)
    assert pid == programs[0].pid
    out = machine.run(MEMTRACE, "report", "--json", LD_LIBRARY_PATH=VGPU)
    assert out.returncode == 0, out.stderr
    report = json.loads(out.stdout)
    (finding,) = left(report)
    assert (finding["cause"], finding["instances"][0]["pid"]) == ("ended", pid)
    assert finding["bytes"] == held + CONTEXT
    assert f"kill -9 {pid}" in finding["advice"]
    sign.touch()
    other.touch()
    assert [program.wait(timeout=60) for program in programs] == [0, 0]
    assert left(machine.report()) == []
