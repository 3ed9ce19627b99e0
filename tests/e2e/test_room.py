"""Where room is short the ledgers are small, never blind, and never take it all."""

import json
import shutil
import subprocess

import pytest
from conftest import PROGRAMS
from machine import VPYTHON

NAMESPACE = ["unshare", "--mount", "--map-root-user"]


def test_nine_processes_on_docker_s_default_shared_memory(machine):
    if shutil.which("unshare") is None or subprocess.run([*NAMESPACE, "true"], capture_output=True).returncode:
        pytest.skip("needs a mount namespace of its own (unshare --mount), which this system refuses")
    folder = machine.scratch / "shm"
    folder.mkdir()
    # Leaves without freeing: what it held is what the report must show.
    program = (
        "import os, torch; x = torch.empty(1 << 20, device='cuda'); y = torch.empty(3, device='cuda');"
        "os.write(1, b'up\\n'); os._exit(0)"
    )
    out = machine.run(
        *NAMESPACE,
        PROGRAMS / "small_room.sh",
        folder,
        VPYTHON,
        "-c",
        program,
        MEMTRACE_PRELOAD=machine.preload()["LD_PRELOAD"],
    )
    assert out.returncode == 0, out.stderr
    lines = out.stdout.splitlines()
    assert lines[:9] == ["up"] * 9
    free = int(next(line for line in lines if line.startswith("free")).split()[1])
    assert free > 32 << 10, "more than half is left to NCCL and the others"
    rings = [int(line.split()[1]) for line in lines if line.startswith("ring")]
    assert len(rings) == 9 and max(rings) <= 16 << 20, "one takes at most a quarter of what was free"
    report = json.loads(out.stdout[out.stdout.index("{") :])
    assert len(report["processes"]) == 9
    for process in report["processes"]:
        (device,) = process["devices"]
        assert [a["allocated_bytes"] for a in device["allocators"]] == [(4 << 20) + 512]
