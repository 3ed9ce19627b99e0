"""The demo: what its page shows is what it prints, and a killed process still tells its story."""

import json
import os
import pathlib
import signal
import time

from golden import normal, shown
from machine import MEMTRACE, VGPU, VPYTHON

MIB = 1 << 20


def python_version(machine):
    program = "import sys; print('%d.%d' % sys.version_info[:2])"
    return machine.run(VPYTHON, "-c", program).stdout.strip()


def processes(report):
    return {process["role"]: process for process in report["processes"] if process["role"]}


def test_the_demo_prints_what_its_page_shows(machine):
    trace = machine.scratch / "trace"
    out = machine.run(MEMTRACE, "demo", "--python", VPYTHON, "-o", trace, LD_LIBRARY_PATH=VGPU)
    assert out.returncode == 0, out.stderr
    if python_version(machine) == "3.11":  # the page's: others have other packages and frames
        assert normal(out.stdout) == normal(shown("docs/demo.md"))
    assert max(map(len, out.stdout.splitlines())) <= 100
    report = machine.report(trace)
    (finding,) = [f for f in report["findings"] if f["confidence"] != "info"]
    assert (finding["verdict"], [i["role"] for i in finding["instances"]]) == ("creep", ["tokenizer"])
    assert {"tokenizer", "scheduler"} <= processes(report).keys()
    detokenizer = processes(report).get("detokenizer")
    assert detokenizer is None or not detokenizer["cuda"]


def pid_of(machine, role, patience=120):
    """The process on this machine's virtual GPU that was started with this role."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        for folder in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                environment = (folder / "environ").read_bytes().split(b"\0")
                command = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            wanted = {f"MEMTRACE_ROLE={role}".encode(), f"VGPU_NAME={machine.name}".encode()}
            if wanted <= set(environment) and b"multiprocessing" in command:
                return int(folder.name)
        time.sleep(0.05)
    raise AssertionError(f"no {role} was started")


def test_the_report_tells_the_story_of_a_killed_tokenizer(machine):
    trace = machine.scratch / "trace"
    demo = machine.start(MEMTRACE, "demo", "--python", VPYTHON, "-o", trace)
    pid = pid_of(machine, "tokenizer")
    stop_when_it_holds(machine, pid, 60 * MIB)
    os.kill(pid, signal.SIGKILL)
    out, err = demo.communicate(timeout=120)
    assert demo.returncode == 1, err
    report = json.loads(machine.run(MEMTRACE, "report", trace, "--json").stdout)
    tokenizer = processes(report)["tokenizer"]
    assert (tokenizer["pid"], tokenizer["state"], tokenizer["signal"]) == (pid, "killed", signal.SIGKILL)
    (device,) = tokenizer["devices"]
    assert device["reserved_bytes"] >= 60 * MIB and device["sites"]
    assert "killed by signal 9" in out or "SIGKILL" in out


def stop_when_it_holds(machine, pid, least, patience=120):
    """Asks from outside, as a user would, until the process has reserved so many bytes. It stands
    still while it is asked about, so that it is stopped in its work however long the answer takes."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        os.kill(pid, signal.SIGSTOP)
        out = machine.run(MEMTRACE, "report", "-p", str(pid), "--json")
        if out.returncode == 0:
            (process,) = json.loads(out.stdout)["processes"]
            if sum(device["reserved_bytes"] for device in process["devices"]) >= least:
                return
        os.kill(pid, signal.SIGCONT)
        time.sleep(0.02)
    raise AssertionError(f"process {pid} never held {least} bytes")
