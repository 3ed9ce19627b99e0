"""A job in a container: 64 MB of /dev/shm, its own process ids, and the report asked for from outside."""

import json
import os
import shutil
import signal
import subprocess

import pytest
from conftest import PROGRAMS
from machine import MEMTRACE, VPYTHON

NAMESPACES = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--map-root-user"]

PROGRAM = """
import os, torch
held = torch.empty(3 << 20, dtype=torch.uint8, device="cuda")
print(os.getpid(), flush=True)
input()
"""


def test_a_container_is_reported_about_from_outside(machine):
    if shutil.which("unshare") is None or subprocess.run([*NAMESPACES, "true"], capture_output=True).returncode:
        pytest.skip("needs namespaces of its own (unshare --mount --pid), which this system refuses")
    mounted = machine.scratch / "rings"
    mounted.mkdir()
    script = [PROGRAMS / "container.sh", machine.rings, mounted, VPYTHON, "-c", PROGRAM]
    job = machine.start(*NAMESPACES, *script, MEMTRACE_PRELOAD=machine.preload()["LD_PRELOAD"])
    try:
        line = job.stdout.readline()
        assert line, job.stderr.read()
        inside = int(line)
        (process,) = machine.report()["processes"]
        # The ledger has the pid of the container; outside it is another, by which one can send a signal.
        assert process["pid"] != inside
        with open(f"/proc/{process['pid']}/status") as status:
            ids = next(line.split()[1:] for line in status if line.startswith("NSpid:"))
        assert ids[-1] == str(inside)
        (device,) = process["devices"]
        assert [a["allocated_bytes"] for a in device["allocators"]] == [3 << 20]
        # From another container one sees the ledger, and not whether its process runs.
        beside = ["unshare", "--mount", "--mount-proc", "--pid", "--fork", "--map-root-user", MEMTRACE, "report"]
        said = json.loads(machine.run(*beside, "--json").stdout)["processes"][0]
        assert [a["allocated_bytes"] for a in said["devices"][0]["allocators"]] == [3 << 20]
        assert "whether it still runs is not known" in said["warnings"][-1]
        os.kill(process["pid"], signal.SIGKILL)
        job.wait(timeout=60)
    finally:
        job.kill()
        job.communicate()
    # It is gone with its container; its ledger is not.
    (dead,) = machine.report()["processes"]
    assert not dead["warnings"] and not process["warnings"]
    assert dead["instance"] == process["instance"] and (process["state"], dead["state"]) == ("running", "ended")
    assert [a["allocated_bytes"] for a in dead["devices"][0]["allocators"]] == [3 << 20]
