"""Who holds whose memory: exporter and importer are joined, whatever way the memory went."""

import pytest
from conftest import PROGRAMS
from machine import MEMTRACE, VPYTHON

MIB = 1 << 20
PROGRAM = PROGRAMS / "lends.py"


@pytest.fixture
def lent(machine):
    """The owner's and the borrower's device, the sites, and the report's text."""
    started = []

    def look(allocator):
        program = machine.start(VPYTHON, PROGRAM, PYTORCH_ALLOC_CONF=allocator, **machine.preload())
        started.append(program)
        owner, borrower = map(int, program.stdout.readline().split())
        report = machine.report()
        devices = {p["pid"]: p["devices"][0] for p in report["processes"] if p["cuda"]}
        text = " ".join(machine.run(MEMTRACE, "report").stdout.split())
        return (owner, devices[owner]), (borrower, devices[borrower]), report["sites"], text

    yield look
    for program in started:
        program.communicate(input="\n", timeout=120)


@pytest.mark.parametrize("expandable", [False, True])
def test_exporter_and_importer_are_told_of_each_other(lent, expandable):
    (owner, lender), (borrower, holder), sites, text = lent(f"expandable_segments:{expandable}")
    size = 32 * MIB if not expandable else 40 * MIB  # two handles of 20 MiB
    assert holder["imported_bytes"] == sum(each["bytes"] for each in holder["imports"]) >= size
    assert {each["from"]["pid"] for each in holder["imports"]} == {owner}
    assert not any(each["likely"] for each in holder["imports"])
    assert lender["imports"] == [] and holder["exports"] == []
    # Imported stands beside reserved and not inside: the borrower took nothing of its own.
    assert holder["reserved_bytes"] == 0 and lender["reserved_bytes"] >= 96 * MIB
    (export,) = lender["exports"]
    lines = PROGRAM.read_text().splitlines()
    frames = sites[export["site"]]["frames"]
    mine = [frame for frame in frames if frame.get("file", "").endswith("lends.py")]
    assert any("lent to another process" in lines[frame["line"] - 1] for frame in mine)
    (opener,) = export["opened_by"]
    assert opener["by"]["pid"] == borrower
    assert (opener["bytes"], opener["opens"] - opener["closes"]) == (holder["imported_bytes"], opener["pieces"])
    assert opener["closes"] > 0, "one of the tensors was given back"
    assert f"from lends.py (pid {owner})" in text or f"from python (pid {owner})" in text
    assert f"(pid {borrower}) has {opener['pieces']} piece" in text
