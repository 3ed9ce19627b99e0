"""Marks from outside reach the processes they are about, whoever started them, and nobody else."""

import contextlib
import os

from conftest import PROGRAMS
from machine import MEMTRACE, VPYTHON

MIB = 1 << 20


@contextlib.contextmanager
def waiting(machine, *prefix, **environment):
    """A program that waits for lines, its pid, and the way to let it take a MiB more."""
    process = machine.start(*prefix, VPYTHON, PROGRAMS / "waits.py", **environment)

    def take():
        process.stdin.write("\n")
        process.stdin.flush()
        return int(process.stdout.readline())

    try:
        pid = int(process.stdout.readline())
        yield pid, take
    finally:
        process.stdin.close()
        process.wait(timeout=60)
        process.stdout.close()
        process.stderr.close()


def mark(machine, *arguments):
    return machine.run(MEMTRACE, "mark", *arguments)


def said(report, pid):
    """Marks and phases of a process, by name."""
    (process,) = [p for p in report["processes"] if p["pid"] == pid]
    phases = process["phases"]
    return {m["name"]: m for m in phases["marks"]}, {p["name"]: p for p in phases["phases"]}


def test_marks_reach_preloaded_processes_and_those_of_a_job(machine):
    trace = machine.scratch / "trace"
    with (
        waiting(machine, **machine.preload()) as (alone, _),
        waiting(machine, MEMTRACE, "run", "-o", trace, "--") as (in_job, take),
    ):
        one = mark(machine, "-p", in_job, "only one")
        assert one.returncode == 0 and one.stdout == f"marked waits.py (pid {in_job})\n"
        assert mark(machine, "--all", "--begin", "rollout").returncode == 0
        take()
        at_end = take()
        both = mark(machine, "--all", "--end", "rollout")
        assert f"pid {alone}" in both.stdout and f"pid {in_job}" in both.stdout
        moments = mark(machine, "--all", "a\x1b[31m moment " + "n" * 300)
        assert moments.returncode == 0, moments.stderr
        live = machine.report()
    assert at_end == 3 * MIB
    for report in (live, machine.report(trace)):
        marks, phases = said(report, in_job)
        assert marks["only one"]["count"] == 1
        (long,) = [name for name in marks if name.startswith("a\ufffd[31m moment nnn")]
        assert len(long.encode()) == 120 and marks[long]["first_ns"] > marks["only one"]["first_ns"]
        (device,) = phases["rollout"]["devices"]
        assert phases["rollout"]["count"] == 1
        assert device["peak_allocated_bytes"] == at_end
        assert (device["survived_bytes"], device["survived_blocks"]) == (2 * MIB, 2)
    marks, phases = said(live, alone)
    assert "only one" not in marks and phases["rollout"]["devices"][0]["survived_bytes"] == 0
    # Nothing of them is left: the job's folder is gone, and the trace has them.
    assert not list(machine.rings.glob("run-*"))
    text = machine.run(MEMTRACE, "report", trace).stdout
    assert "mark only one  1 time, last at" in text and "\x1b" not in text


def test_who_cannot_be_marked_is_said(machine):
    for arguments, words in [
        (["-p", "1", "x"], "process 1 left no ledger"),
        (["--all", "x"], "no traced process is running"),
        (["--all", " "], "a mark needs a name"),
        (["x"], "--pid"),
        (["--all", "--begin", "--end", "x"], "cannot be used"),
    ]:
        out = mark(machine, *arguments)
        assert out.returncode == 2 and words in out.stderr, out.stderr
    with waiting(machine, **machine.preload()) as (pid, _):
        pass
    out = mark(machine, "-p", pid, "too late")
    assert out.returncode == 2 and f"process {pid} has ended" in out.stderr
    assert not (machine.rings / "marks").exists()


def test_a_file_of_marks_that_is_not_ones_own_is_neither_read_nor_written(machine):
    elsewhere = machine.scratch / "elsewhere"
    elsewhere.write_text("")
    with waiting(machine, **machine.preload()) as (pid, _):
        (machine.rings / "marks").symlink_to(elsewhere)
        out = mark(machine, "-p", pid, "x")
        assert out.returncode == 2 and "marks: " in out.stderr
        assert any("no mark was read" in note for note in machine.report()["notes"])
        (machine.rings / "marks").unlink()
        instance = machine.report("-p", pid)["processes"][0]["instance"]
        (machine.rings / "marks").write_bytes(b"\x00\xff garbage\n" * 1000 + f"5 {instance} mark early\n".encode())
        assert mark(machine, "-p", pid, "good").returncode == 0
        report = machine.report()
    assert list(said(report, pid)[0]) == ["early", "good"]
    assert any("1000 of its lines are no marks" in note for note in report["notes"])
    assert elsewhere.read_text() == "" and os.stat(machine.rings / "marks").st_size > 0
