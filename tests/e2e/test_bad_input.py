"""Bad input gets one clear sentence, exit 2, and loses nothing."""

import os

import pytest
from conftest import PROGRAMS
from machine import MEMTRACE, VPYTHON


def one_sentence(out):
    assert out.returncode == 2, out
    assert "panicked" not in out.stderr
    lines = out.stderr.strip().splitlines()
    assert 1 <= len(lines) <= 3 and lines[0].startswith("memtrace:"), out.stderr
    return out.stderr


def test_what_is_not_there_or_no_trace(machine):
    assert "no-such" in one_sentence(machine.run(MEMTRACE, "report", "no-such-folder"))
    empty = machine.scratch / "empty"
    empty.mkdir()
    assert "empty" in one_sentence(machine.run(MEMTRACE, "report", empty))
    assert machine.run(MEMTRACE, "no-such-command").returncode == 2
    one_sentence(machine.run(MEMTRACE, "report", "-p", "4194304"))


@pytest.fixture
def ring(machine):
    """The ring of a process that has ended."""
    out = machine.run(VPYTHON, "-c", "import torch; torch.empty(1 << 20, device='cuda')", **machine.preload())
    assert out.returncode == 0, out.stderr
    (ring,) = machine.rings.glob("*.ring")
    return ring


def warnings(machine):
    out = machine.run(MEMTRACE, "report")
    assert out.returncode in (0, 2) and "panicked" not in out.stderr, out.stderr
    return out.stdout + out.stderr


def test_a_ring_of_another_version_names_both_numbers(machine, ring):
    with open(ring, "r+b") as file:
        file.seek(8)
        file.write((99).to_bytes(4, "little"))
    assert "99" in warnings(machine)


def test_a_damaged_neighbour_does_not_hide_the_others(machine, ring):
    (machine.rings / ("0" * 32 + ".ring")).write_bytes(os.urandom(ring.stat().st_size))
    (machine.rings / ("1" * 32 + ".ring")).write_bytes(b"short")
    report = machine.report()
    # 4 MiB of floats lie in a segment of 20 MiB.
    assert [p["devices"][0]["reserved_bytes"] for p in report["processes"] if p["cuda"]] == [20 << 20]
    assert "ring" in warnings(machine)


def test_a_truncated_tail_loses_only_its_last_slot(machine):
    trace = machine.scratch / "trace"
    out = machine.run(
        MEMTRACE, "run", "-o", trace, "--", VPYTHON, "-c", "import torch; torch.empty(1 << 20, device='cuda')"
    )
    assert out.returncode == 0, out.stderr
    whole = machine.report(trace)
    tail = trace / "tail.bin"
    os.truncate(tail, tail.stat().st_size - 7)
    cut = machine.report(trace)
    assert [p["instance"] for p in cut["processes"]] == [p["instance"] for p in whole["processes"]]


def test_a_damaged_table_of_a_trace_is_told(machine):
    trace = machine.scratch / "trace"
    out = machine.run(
        MEMTRACE, "run", "-o", trace, "--", VPYTHON, "-c", "import torch; torch.empty(1 << 20, device='cuda')"
    )
    assert out.returncode == 0, out.stderr
    whole = machine.report(trace)
    assert not [note for note in whole["notes"] if ".bin" in note]
    # The same bytes each time: a random length may be one that a row could have.
    garbage = b"\xd7" * 3000
    (trace / "nodes.bin").write_bytes(garbage)
    out = machine.run(MEMTRACE, "report", trace)
    assert out.returncode == 0 and "nodes.bin is damaged" in out.stdout, out
    assert [p["instance"] for p in machine.report(trace)["processes"]] == [p["instance"] for p in whole["processes"]]
    (trace / "processes.bin").write_bytes(garbage)
    assert "processes.bin" in one_sentence(machine.run(MEMTRACE, "report", trace))


def test_an_unreadable_folder_is_named(machine):
    # Root reads everything unless it gives up the right to.
    humble = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    if humble and machine.run(*humble, "true").returncode:
        pytest.skip("root without setpriv cannot be refused anything")
    trace = machine.scratch / "closed"
    trace.mkdir(mode=0)
    assert "closed" in one_sentence(machine.run(*humble, MEMTRACE, "report", trace))
    trace.chmod(0o700)
