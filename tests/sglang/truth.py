"""A process's ledger against what PyTorch says inside it, at a moment when neither changes."""

import time

from ledger import differences, theirs

PATIENCE_SECONDS = 60


def compare(machine, server, pids):
    """Compares the ledgers of processes on every device; how many blocks were compared.

    PyTorch is asked before and after the report, and the three are compared where its two answers
    agree: a server does something now and then without being asked."""
    return sum(compare_one(machine, server, pid) for pid in pids)


def compare_one(machine, server, pid):
    process, answer = at_rest(machine, server, pid)
    assert answer["devices"], f"process {pid} has not used CUDA"
    wrong = []
    for device, stats in answer["devices"].items():
        reserved = stats.get("reserved_bytes.all.current", 0)
        allocated = stats.get("allocated_bytes.all.current", 0)
        wrong += differences(process, device, answer["snapshot"], reserved, allocated)
    assert not wrong, "\n".join(wrong)
    return sum(len(blocks) for _, blocks in theirs(answer["snapshot"]).values())


def at_rest(machine, server, pid):
    """The report's process and its probe's answer, of a moment when the process did nothing."""
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        before = server.probe(pid)
        report = machine.report("-p", pid, "--segments")
        if server.probe(pid) == before:
            (process,) = [process for process in report["processes"] if process["pid"] == pid]
            return process, before
    raise AssertionError(f"process {pid} never rested")
