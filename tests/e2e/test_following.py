"""Processes whose launcher replaced LD_PRELOAD, as some set it to torch_memory_saver's library alone, are traced."""

from conftest import PROGRAMS
from machine import MEMTRACE, VGPU, VPYTHON, saver

MIB = 1 << 20
WAYS = [32, 64, 96, 128, 160]  # of launcher.py
REMOVED = 192


def test_what_a_launcher_starts_with_another_library_is_traced_unless_it_took_all_away(machine):
    trace = machine.scratch / "trace"
    program = [VPYTHON, PROGRAMS / "launcher.py", saver()]
    run = machine.run(MEMTRACE, "run", "-o", trace, "--", *program, LD_LIBRARY_PATH=VGPU)
    assert (run.returncode, run.stdout.split()) == (0, [str(mib) for mib in [*WAYS, REMOVED]]), run.stderr
    report = machine.report(trace)
    devices = [device for process in report["processes"] for device in process["devices"]]
    held = sorted(sum(owner["reserved_bytes"] for owner in device["allocators"]) // MIB for device in devices)
    assert held == WAYS
