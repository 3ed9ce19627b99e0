"""Phases have the peaks and the survivors that PyTorch says they had, however they were marked."""

import json
import subprocess

import pytest
from conftest import PROGRAMS
from machine import CHECKOUT, MEMTRACE, VGPU, VPYTHON, installed

MODULE = str(CHECKOUT / "python")
SEEDS = 4


def phases(report):
    """The phases of the process that has any, by name, and all that is said of them."""
    (process,) = [p for p in report["processes"] if p["phases"]["phases"]]
    return {phase["name"]: phase for phase in process["phases"]["phases"]}, process["phases"]


def truth(told):
    """PyTorch's word by the names memtrace gives: numbered steps are one."""
    joined = {}
    for name, figures in told.items():
        joined.setdefault("step *" if name.startswith("step ") else name, []).extend(figures)
    return joined


def compare(report, told):
    named, said = phases(report)
    for name, figures in truth(told).items():
        phase = named[name]
        (device,) = phase["devices"]
        assert phase["count"] == len(figures), name
        assert device["peak_allocated_bytes"] == max(f["allocated"] for f in figures), name
        assert device["peak_reserved_bytes"] == max(f["reserved"] for f in figures), name
        assert sum(site["bytes"] for site in device["peak_sites"]) == device["peak_allocated_bytes"], name
        assert device["survived_bytes"] == figures[-1]["survived"], name
        assert device["survived_blocks"] == figures[-1]["blocks"], name
        assert device["most_survived_bytes"] == max(f["survived"] for f in figures), name
        assert sum(site["bytes"] for site in device["survivor_sites"]) == figures[-1]["survived"], name
    assert said["ends_without_begin"] == 0
    assert named["the last thing"]["open"] == 1 and named["the last thing"]["count"] == 0
    # Sites are lines of the program.
    (device,) = named["forward"]["devices"]
    frames = report["sites"][device["peak_sites"][0]["site"]]["frames"]
    assert any(frame.get("function", "").endswith("allocate") for frame in frames)


@pytest.mark.parametrize("marks", ["nvtx", "python", "outside"])
def test_phases_are_what_pytorch_says_live_and_in_the_trace(machine, marks):
    for seed in range(SEEDS):
        trace = machine.scratch / f"trace-{seed}"
        program = [VPYTHON, PROGRAMS / "phases.py", marks, str(seed)]
        out = machine.run(MEMTRACE, "run", "-o", trace, "--", *program, PYTHONPATH=MODULE)
        assert out.returncode == 0, out.stderr
        said = json.loads(out.stdout)
        compare(said["report"], said["truth"])
        compare(machine.report(trace), said["truth"])


def test_the_steps_of_a_loop_are_recognised_and_what_each_keeps(machine):
    trace = machine.scratch / "trace"
    command = [MEMTRACE, "run", "-o", trace, "--", VPYTHON, PROGRAMS / "steps.py"]
    assert machine.run(*command, PYTHONPATH=MODULE).returncode == 0
    named, said = phases(machine.report(trace))
    assert said["steps"] == {"name": "step *", "count": 39}
    (device,) = named["step *"]["devices"]
    assert device["survived_bytes"] == device["most_survived_bytes"] == 4096
    assert device["peak_allocated_bytes"] == (8 << 20) + (4 << 20) + 40 * 4096
    text = machine.run(MEMTRACE, "report", trace).stdout
    assert "its step is step *, 39 so far" in text
    assert "steps.py:12" in text


def test_without_memtrace_the_module_does_nothing(machine):
    out = machine.run(VPYTHON, PROGRAMS / "untraced_phases.py", PYTHONPATH=MODULE)
    assert out.returncode == 0, out.stderr


def test_marks_that_do_not_fit_together_are_told_apart(machine):
    library = machine.preload()["LD_PRELOAD"]
    environment = {"LD_PRELOAD": library, "NVTX_INJECTION64_PATH": library, "PYTHONPATH": MODULE}
    out = machine.python("odd_phases.py", **environment)
    assert out.returncode == 0, out.stderr
    named, said = phases(machine.report())
    assert (named["outer"]["count"], named["never ended"]["count"]) == (1, 1)
    assert named["never ended"]["unended"] == 1
    assert named["endless"]["open"] == 1
    assert said["ends_without_begin"] == 3
    (long,) = [name for name in named if name.startswith("nnn")]
    assert len(long) == 120
    text = machine.run(MEMTRACE, "report").stdout
    assert "\x1b" not in text and "\x07" not in text
    assert any("\ufffd[31m" in name for name in named)
    threads = [phase for name, phase in named.items() if name == "in a thread"]
    assert threads[0]["count"] == 2000
    marks = {mark["name"]: mark["count"] for mark in said["marks"]}
    assert marks["a moment"] == 1


def test_all_kinds_of_nvtx_ranges_are_heard(machine):
    program = machine.scratch / "nvtx"
    headers = installed("nvidia/cu13/include")
    link = [f"-L{VGPU}", "-l:libcuda.so.1", "-ldl", f"-Wl,-rpath,{VGPU}"]
    subprocess.run(["cc", f"-I{headers}", PROGRAMS / "nvtx.c", "-o", program, *link], check=True)
    environment = machine.run(MEMTRACE, "lib", "--env").stdout.split()
    assert machine.run("env", *environment, program).returncode == 0
    named, said = phases(machine.report())
    counts = {name: phase["count"] for name, phase in named.items()}
    assert counts == {"outer": 1, "registered": 2, "(no name)": 1, "first": 1}
    assert [mark["name"] for mark in said["marks"]] == ["a mark", "registered"]
    assert said["ends_without_begin"] == 0
