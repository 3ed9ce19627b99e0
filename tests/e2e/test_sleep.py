"""A sleep that gives back what it can is told calmly; what stayed otherwise is told to the byte."""

import call_logs
import pytest
from conftest import PROGRAMS
from machine import CHECKOUT, MEMTRACE, VGPU, VPYTHON, saver

MIB = 1 << 20
PROGRAM = PROGRAMS / "sleeps.py"


@pytest.fixture
def slept(machine):
    """The findings about a program while it sleeps and after it woke up, and what it held asleep."""
    started = []

    def sleep(how, mark=None):
        logs = machine.scratch / how
        logs.mkdir()
        library = machine.preload()["LD_PRELOAD"]
        environment = {
            "LD_PRELOAD": f"{saver()}:{library}",
            "LD_LIBRARY_PATH": VGPU,  # the saver's library needs the driver's before Python has begun
            "PYTHONPATH": str(CHECKOUT / "python"),
            "VGPU_TOTAL_MB": str(16 * 1024),
            "VGPU_LOG": str(logs),
        }
        program = machine.start(VPYTHON, PROGRAM, how, **environment)
        started.append(program)
        assert program.stdout.readline() == "asleep\n", program.stderr.read()
        held = call_logs.physical(logs / f"calls.{program.pid}.log", 0)
        if mark:
            assert machine.run(MEMTRACE, "mark", "-p", program.pid, mark).returncode == 0
        asleep = machine.report("-p", str(program.pid))
        program.stdin.write("\n")
        program.stdin.flush()
        assert program.stdout.readline() == "awake\n"
        awake = machine.report("-p", str(program.pid))
        texts = [finding["text"] for finding in awake["findings"]]
        assert texts == [finding["text"] for finding in asleep["findings"]]
        return asleep, held

    yield sleep
    for program in started:
        program.communicate()


def only(report):
    (finding,) = report["findings"]
    assert (finding["verdict"], finding["phase"]) == ("incomplete-release", "release_memory_occupation")
    return finding, {number["what"]: number["value"] for number in finding["evidence"]}


def test_a_sleep_that_gives_all_back_or_keeps_its_weights_on_purpose_is_no_finding(slept):
    report, held = slept("all")
    assert (report["findings"], held) == ([], 0)
    report, held = slept("weights-kept")
    assert (report["findings"], held) == ([], 1536 * MIB)


def test_a_pool_that_stays_is_told_with_its_line_and_its_bytes(slept, machine):
    report, held = slept("pool-kept")
    finding, said = only(report)
    assert (finding["confidence"], finding["cause"]) == ("alert", "nothing released")
    assert finding["bytes"] == said["held when least was"] == held == 4096 * MIB
    assert (said["held before"], said["released"]) == (held + 256 * MIB, 256 * MIB)
    (holder,) = finding["holders"]
    assert (holder["owner"], holder["bytes"], holder["blocks"]) == ("torch", 4096 * MIB, 1)
    assert finding["site"] == holder["site"]
    frames = report["sites"][holder["site"]]["frames"]
    lines = PROGRAM.read_text().splitlines()
    assert any("the KV pool" in lines[frame["line"] - 1] for frame in frames if frame.get("line"))
    text = machine.run(MEMTRACE, "report").stdout
    assert text.startswith("PROBLEM:") and "released nothing" in text and "sleeps.py" in text


def test_a_pool_that_another_process_has_open_is_told_with_that_process_and_its_handles(slept):
    report, held = slept("pool-lent")
    finding, said = only(report)
    assert (finding["confidence"], finding["cause"]) == ("alert", "nothing released")
    assert finding["bytes"] == said["held when least was"] == held == 4096 * MIB
    assert said["open in other processes"] == 4096 * MIB
    (export,) = report["processes"][0]["devices"][0]["exports"]
    (opener,) = export["opened_by"]
    assert (opener["bytes"], opener["opens"], opener["closes"]) == (4096 * MIB, 1, 0)
    borrower = opener["by"]
    assert f"(pid {borrower['pid']}) has 4.0 GiB of it open, which cannot go" in finding["text"]
    assert f"(pid {borrower['pid']})" in finding["advice"]
    # One handle of the weights was released, and the pool's extent was not.
    assert (said["extents before"], said["extents held"]) == (2, 1)
    assert "Of 2 extents it kept 1." in finding["text"]


def test_memory_that_stays_in_no_block_is_told_with_the_call_that_gives_it_back(slept):
    report, held = slept("cache-kept")
    finding, said = only(report)
    assert (finding["confidence"], finding["cause"]) == ("alert", "cache kept")
    assert finding["releasable_bytes"] == said["releasable"] == held == 4096 * MIB
    assert "empty_cache()" in finding["advice"]


def test_a_mark_from_outside_holds_a_process_to_its_sleep_too(slept):
    report, held = slept("pool-kept", mark="asleep now")
    by_phase = {finding["phase"]: finding for finding in report["findings"]}
    finding = by_phase.pop("asleep now")
    # When a marked sleep began nobody knows.
    assert (finding["confidence"], finding["cause"]) == ("suspect", "nothing released")
    assert finding["bytes"] == held == by_phase["release_memory_occupation"]["bytes"]
