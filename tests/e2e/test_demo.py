"""The demo: what the README shows is what it prints, and a killed process still tells its story."""

import json
import os
import pathlib
import re
import signal
import time

from machine import CHECKOUT, MEMTRACE, VGPU, VPYTHON

MIB = 1 << 20


def normal(text):
    """The report's words without what differs from run to run and from machine to machine: pids,
    times, UUIDs, paths, and what NVML said at its last reading, which comes once a second."""
    text = re.sub(r"^  /\S+python .*$", "  COMMAND", text, flags=re.MULTILINE)
    text = re.sub(r"^  (unexplained|in use) .*$", r"  \1", text, flags=re.MULTILINE)
    text = re.sub(r"^(  \S+, pid \d+, ended) .*$", r"\1", text, flags=re.MULTILINE)
    text = re.sub(r"NVML says \S+ .iB \(\d+ % tracked\)", "NVML", text)
    text = re.sub(r"/\S*/memtrace-demo-\d+/", "", text)
    text = re.sub(r"\bpid +\d+", "pid N", text)
    text = re.sub(r"\b\d\d:\d\d:\d\d\b", "HH:MM:SS", text)
    text = re.sub(r"\d{4}-\d\d-\d\d", "YYYY-MM-DD", text)
    text = re.sub(r"GPU-[0-9a-f-]{36}", "GPU-UUID", text)
    return text.split()


def golden():
    readme = (CHECKOUT / "README.md").read_text()
    block = readme.split("<!-- demo: begin")[1].split("<!-- demo: end -->")[0]
    return block.split("```text\n")[1].split("```")[0]


def python_version(machine):
    program = "import sys; print('%d.%d' % sys.version_info[:2])"
    return machine.run(VPYTHON, "-c", program).stdout.strip()


def processes(report):
    return {process["role"]: process for process in report["processes"] if process["role"]}


def test_the_demo_prints_what_the_readme_shows(machine):
    trace = machine.scratch / "trace"
    out = machine.run(MEMTRACE, "demo", "--python", VPYTHON, "-o", trace, LD_LIBRARY_PATH=VGPU)
    assert out.returncode == 0, out.stderr
    if python_version(machine) == "3.11":  # the README's: others have other packages and frames
        assert normal(out.stdout) == normal(golden())
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
    wait_until_it_holds(machine, pid, 60 * MIB)
    os.kill(pid, signal.SIGKILL)
    out, err = demo.communicate(timeout=120)
    assert demo.returncode == 1, err
    report = json.loads(machine.run(MEMTRACE, "report", trace, "--json").stdout)
    tokenizer = processes(report)["tokenizer"]
    assert (tokenizer["pid"], tokenizer["state"], tokenizer["signal"]) == (pid, "killed", signal.SIGKILL)
    (device,) = tokenizer["devices"]
    assert device["reserved_bytes"] >= 60 * MIB and device["sites"]
    assert "killed by signal 9" in out or "SIGKILL" in out


def wait_until_it_holds(machine, pid, least, patience=120):
    """Asks from outside, as a user would, until the process has reserved so many bytes."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        out = machine.run(MEMTRACE, "report", "-p", str(pid), "--json")
        if out.returncode == 0:
            (process,) = json.loads(out.stdout)["processes"]
            if sum(device["reserved_bytes"] for device in process["devices"]) >= least:
                return
        time.sleep(0.02)
    raise AssertionError(f"process {pid} never held {least} bytes")
