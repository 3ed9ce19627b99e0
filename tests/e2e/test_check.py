"""The gate: what it fails on, and how it says so."""

import json
import xml.etree.ElementTree

import pytest
from conftest import PROGRAMS
from machine import MEMTRACE, VPYTHON


@pytest.fixture
def trace(machine):
    """Four servers in a trace, one of which creeps, and the pids by their names."""
    folder = machine.scratch / "trace"
    out = machine.run(MEMTRACE, "run", "-o", folder, "--", VPYTHON, PROGRAMS / "requests.py")
    assert out.returncode == 0, out.stderr
    return folder, dict(line.split() for line in out.stdout.splitlines())


def test_a_trace_is_held_against_rules(machine, trace):
    folder, pids = trace

    def check(*arguments):
        return machine.run(MEMTRACE, "check", folder, *arguments)

    failed = check("--fail-on", "wrong-card,creep:>64MiB", "--junit", "gate.xml", "--github")
    assert failed.returncode == 1, failed.stdout + failed.stderr
    assert failed.stdout.startswith("1 of 2 rules fails.\nFAILED:     creep:>64MiB: ")
    assert f"(pid {pids['creeping']})" in failed.stdout
    (annotation,) = [line for line in failed.stdout.splitlines() if line.startswith("::")]
    assert "image_processing" in annotation and ",line=" in annotation
    cases = xml.etree.ElementTree.parse(machine.scratch / "gate.xml").getroot().findall(".//testcase")
    assert [(case.get("name"), len(case.findall("failure"))) for case in cases] == [
        ("wrong-card", 0),
        ("creep:>64MiB", 1),
    ]
    assert check("--fail-on", "wrong-card,creep:>100GiB,peak:>70GiB").returncode == 0
    others = [word for name, pid in pids.items() if name != "creeping" for word in ("-p", pid)]
    assert check("--fail-on", "creep", *others).returncode == 0

    outcome = json.loads(check("--fail-on", "peak:>1MB", "--json").stdout)
    assert outcome["verdict"] == "fail"
    (gpu,) = outcome["gpus"]
    by_pid = {str(process["pid"]): process for process in outcome["processes"]}
    report = machine.report(folder)
    peaks = {str(p["pid"]): p["devices"][0]["peak_reserved_bytes"] for p in report["processes"] if p["devices"]}
    # They ran one after the other.
    assert gpu["reserved_bytes"] == max(peaks.values())
    for name in ("creeping", "fixed", "emptied", "leaking"):
        course = by_pid[pids[name]]["reserved"]
        assert course["baseline_bytes"] <= course["peak_bytes"] <= peaks[pids[name]]
