"""Fragmentation of known size is told to the byte, with its pins; its twin is not told."""

import pytest
from conftest import PROGRAMS
from machine import VPYTHON

MIB = 1 << 20
GIB = 1 << 30


@pytest.fixture
def judged(machine):
    """What PyTorch said of a program's segments, and the report about it while it lives."""
    started = []

    def judge(how, **environment):
        program = machine.start(
            VPYTHON, PROGRAMS / "fragments.py", how, **machine.preload(), **environment
        )
        started.append(program)
        lines = [program.stdout.readline()]
        if how == "fails":
            lines.append(program.stdout.readline())
        free, live = map(int, lines[-1].split())
        return free, live, machine.report("-p", str(program.pid))

    yield judge
    for program in started:
        program.communicate()


def numbers(finding):
    return {number["what"]: number["value"] for number in finding["evidence"]}


def test_pinned_segments_are_found_with_their_bytes_and_their_pins(judged):
    free, live, report = judged("pinned", VGPU_TOTAL_MB=str(16 * 1024))
    (finding,) = report["findings"]
    assert (finding["verdict"], finding["confidence"]) == ("fragmentation", "alert")
    assert finding["bytes"] == free == 2 * (2048 - 2) * MIB
    # Nearly all requests are of a whole segment: only segments that are free as a whole can serve them.
    (device,) = report["processes"][0]["devices"]
    whole = device["allocators"][0]["releasable_bytes"]
    assert numbers(finding)["99 of 100 requests at most"] == 2048 * MIB
    assert numbers(finding)["unusable share for that"] == free * 100 // (free + whole)
    (pin,) = finding["pins"]
    assert (pin["blocks"], pin["bytes"], pin["stranded_bytes"]) == (2, live, free)
    frames = report["sites"][pin["site"]]["frames"]
    lines = (PROGRAMS / "fragments.py").read_text().splitlines()
    used = [lines[frame["line"] - 1] for frame in frames if frame.get("line")]
    assert any("pinned here" in line for line in used), used


def test_the_same_tensors_taken_first_fragment_nothing(judged):
    free, _, report = judged("first", VGPU_TOTAL_MB=str(16 * 1024))
    assert free < 20 * MIB
    assert report["findings"] == []


def test_a_request_that_only_pieces_could_serve_is_explained(judged):
    # Two pinned segments, two that are kept, and no room for a fifth.
    free, _, report = judged("fails", VGPU_TOTAL_MB=str(10 * 1024))
    (finding,) = [f for f in report["findings"] if f["verdict"] == "out-of-memory"]
    assert finding["cause"] == "fragmentation"
    assert finding["bytes"] == 2048 * MIB
    said = numbers(finding)
    assert (said["stranded"], said["releasable"]) == (free, 0)
    assert said["largest free piece"] == (2048 - 2) * MIB
    assert said["unusable share"] == 100
    assert finding["pins"][0]["stranded_bytes"] == free
