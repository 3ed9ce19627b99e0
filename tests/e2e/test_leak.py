"""A line that leaks is found, and the same job without it is quiet: real PyTorch programs, in pairs
that differ by one line."""

import json

from conftest import PROGRAMS
from machine import CHECKOUT, MEMTRACE, VPYTHON

JOBS = ["scheduler", "training", "lru", "replay", "graphs", "radix"]
# Caches that fill to the end of the run look like leaks, but for their name.
CACHES = {"replay", "radix"}
STEPS = 150


def run(machine, *leak):
    """All jobs at once, each a process with its name as its role; what each printed and the report."""
    trace = machine.scratch / "trace"
    start = f"MEMTRACE_ROLE=$job {VPYTHON} {PROGRAMS}/twins/twins.py $job {STEPS} {' '.join(leak)} &"
    script = f"for job in {' '.join(JOBS)}; do {start} done; wait"
    path = str(CHECKOUT / "python")
    out = machine.run(MEMTRACE, "run", "-o", trace, "--", "sh", "-c", script, PYTHONPATH=path)
    assert out.returncode == 0, out.stderr
    lines = [line for line in out.stdout.splitlines() if line.startswith("{")]
    said = {line["job"]: line for line in map(json.loads, lines)}
    assert sorted(said) == sorted(JOBS), out.stdout + out.stderr
    report = machine.report(trace)
    by_role = {process["role"]: process for process in report["processes"] if process["role"]}
    assert {by_role[job]["phases"]["steps"]["count"] for job in JOBS} == {STEPS - 1}
    return said, report


def where(report, finding):
    """The functions of a finding's site, innermost first, without PyTorch's."""
    frames = report["sites"][finding["site"]]["frames"]
    return [f["function"] for f in frames if "twins" in f.get("file", "")]


def test_jobs_that_leak_nothing_raise_no_alarm(machine):
    _, report = run(machine)
    told = [finding for finding in report["findings"] if finding["confidence"] != "info"]
    assert {finding["confidence"] for finding in told} <= {"suspect"}, told
    suspects = {finding["instances"][0]["role"]: finding for finding in told}
    assert suspects.keys() <= CACHES, told
    assert {finding["cause"] for finding in told} <= {"known cache"}, told


def test_each_twin_that_differs_by_a_leaking_line_is_found(machine):
    said, report = run(machine, "leak")
    alerts = [finding for finding in report["findings"] if finding["confidence"] == "alert"]
    assert {finding["verdict"] for finding in alerts} == {"leak"}
    found = {finding["instances"][0]["role"]: finding for finding in alerts}
    assert found.keys() == set(JOBS) and len(alerts) == len(JOBS)
    for job, finding in found.items():
        assert where(report, finding)[:2] == ["keep", job]
        truth = said[job]["bytes"] / STEPS
        assert abs(finding["rate"]["bytes_per_step"] - truth) < 0.15 * truth, (job, finding)
        assert finding["rate"]["low"] <= finding["rate"]["bytes_per_hour"] <= finding["rate"]["high"]
        # What is told is what the line kept after the warm-up of a fifth of the run.
        assert 0.7 * said[job]["bytes"] < finding["bytes"] < said[job]["bytes"]


def test_pixel_values_kept_by_requests_in_two_ranks_are_one_leak_with_an_end(machine):
    """A public case: sglang PR 7340, ranks of a vision-language model that lose a GPU within an hour."""
    environment = {"PYTHONPATH": str(CHECKOUT / "python"), **machine.preload()}
    program, batches = PROGRAMS / "twins/pixel_values.py", 120
    ranks = [
        machine.start(VPYTHON, program, str(batches), MEMTRACE_ROLE=f"scheduler TP{rank}", **environment)
        for rank in range(2)
    ]
    said = [json.loads(rank.stdout.readline()) for rank in ranks]
    report = machine.report()
    for rank in ranks:
        rank.communicate("\n")
    (finding,) = [finding for finding in report["findings"] if finding["confidence"] == "alert"]
    assert finding["verdict"] == "leak"
    assert {i["role"] for i in finding["instances"]} == {"scheduler TP0", "scheduler TP1"}
    assert "pixel_values.py" in report["sites"][finding["site"]]["line"]
    assert finding["phase"] == "batch" and "survived the last batch" in finding["text"]
    frames = report["sites"][finding["site"]]["frames"]
    assert next(f["function"] for f in frames if f["kind"] == "python") == "Request.__init__"
    kept = said[0]["bytes"]
    assert abs(finding["rate"]["bytes_per_step"] - kept / batches) < 0.05 * kept / batches
    # Both fill one card: when it is full follows from what is free and how fast each of them went.
    (gpu,) = report["gpus"]
    hourly = [rank["bytes"] / rank["seconds"] * 3600 for rank in said]
    free = gpu["total_bytes"] - sum(process["reserved_bytes"] for process in gpu["processes"])
    expected = free / sum(hourly) * 3.6e12
    exhausted = finding["exhausted"]
    earliest, latest = (exhausted[at] - report["as_of_ns"] for at in ("earliest_ns", "latest_ns"))
    assert 0.5 * expected < earliest <= latest < 2 * expected

