"""Creep is reported where it is, and nowhere else."""

from conftest import PROGRAMS
from machine import MEMTRACE, VPYTHON

MIB = 1 << 20


def test_only_the_creeping_server_creeps(machine):
    trace = machine.scratch / "trace"
    out = machine.run(MEMTRACE, "run", "-o", trace, "--", VPYTHON, PROGRAMS / "requests.py")
    assert out.returncode == 0, out.stderr
    servers = {name: int(pid) for name, pid in (line.split() for line in out.stdout.splitlines())}
    report = machine.report(trace)
    instances = {p["pid"]: p["instance"] for p in report["processes"]}
    creeping = [f for f in report["findings"] if f["verdict"] == "creep" and f["confidence"] != "info"]
    assert [[i["instance"] for i in f["instances"]] for f in creeping] == [[instances[servers["creeping"]]]]
    (finding,) = creeping
    assert finding["bytes"] > 64 * MIB
    frames = report["sites"][finding["site"]]["frames"]
    assert any("image_processing" in frame.get("file", "") for frame in frames)
    assert "empty_cache" in finding["advice"]
    # What the job printed at its end is the report's first lines.
    assert finding["text"].split(":")[0] in out.stderr
