"""Public cases as small jobs: what memtrace must say of each, held against PyTorch's own numbers.

S2, the leak, is in test_leak.py; S17, memory held after its time, in test_dead_holders.py.
"""

import pytest
from conftest import PROGRAMS
from machine import CHECKOUT, MEMTRACE, VPYTHON

MIB = 1 << 20


@pytest.fixture
def looked_at(machine):
    """Lines that a program writes before it waits, the report about it, and the report's text."""
    started = []

    def look(program, lines):
        process = machine.start(
            VPYTHON, PROGRAMS / program, **machine.preload(), VGPU_TOTAL_MB=str(16 * 1024)
        )
        started.append(process)
        said = [[int(word) for word in process.stdout.readline().split()] for _ in range(lines)]
        about = ["-p", str(process.pid)]
        return said, machine.report(*about), machine.run(MEMTRACE, "report", *about).stdout

    yield look
    for process in started:
        process.communicate()


def numbers(finding):
    return {number["what"]: number["value"] for number in finding["evidence"]}


def lines_of(report, site, program):
    """Lines of a program that the stack of a site goes through."""
    source = (PROGRAMS / program).read_text().splitlines()
    frames = report["sites"][site]["frames"]
    mine = [frame for frame in frames if frame.get("file", "").endswith(program)]
    return [source[frame["line"] - 1] for frame in mine]


def test_s1_the_tokenizer_creeps_by_its_image_processor_and_the_scheduler_does_not(machine):
    trace = machine.scratch / "trace"
    out = machine.run(MEMTRACE, "run", "-o", trace, "--", VPYTHON, PROGRAMS / "case_s1.py")
    assert out.returncode == 0, out.stderr
    said = {}
    for line in out.stdout.splitlines():
        role, pid, *course = line.split()
        said[role] = int(pid), [tuple(map(int, point.split(","))) for point in course]
    report = machine.report(trace)
    (finding,) = report["findings"]
    assert (finding["verdict"], finding["confidence"]) == ("creep", "alert")
    assert finding["cause"] == "releasable cache"
    pid, course = said["tokenizer"]
    (instance,) = finding["instances"]
    assert (instance["role"], instance["pid"]) == ("tokenizer", pid)
    reserved, allocated = zip(*course)
    assert set(allocated) == {allocated[0]} == {numbers(finding)["base of allocated"]}
    assert finding["releasable_bytes"] == reserved[-1] - allocated[-1]
    assert numbers(finding)["jumps of reserved"] == len(set(reserved)) - 1
    assert reserved[-2] - reserved[0] < finding["bytes"] < reserved[-1] == max(reserved)
    files = [frame.get("file", "") for frame in report["sites"][finding["site"]]["frames"]]
    assert any("image_processing" in file for file in files)
    assert "empty_cache()" in finding["advice"] and f"tokenizer (pid {pid})" in finding["advice"]


def test_s8_what_small_fences_strand_creeps_and_the_fences_are_its_pins(looked_at):
    said, report, _ = looked_at("case_s8.py", 21)
    course, (stranded,) = said[:-1], said[-1]
    (finding,) = report["findings"]
    assert (finding["verdict"], finding["cause"]) == ("creep", "stranding")
    assert (numbers(finding)["stranded"], numbers(finding)["releasable"]) == (stranded, 0)
    # The last cycle has no rise after it that would make its end a trough.
    (before, base), (after, top) = course[0], course[-2]
    assert finding["bytes"] == (after - before) - (top - base)
    assert base > 66 * MIB and top - base < 32 * MIB
    (pin,) = finding["pins"]
    assert (pin["blocks"], pin["stranded_bytes"]) == (len(course), stranded)
    assert any("the fence" in line for line in lines_of(report, pin["site"], "case_s8.py"))
    assert "expandable_segments" in finding["advice"]


def test_s12_the_pool_of_a_failed_capture_is_listed_without_live_bytes_and_with_its_age(looked_at):
    ((began, ended, reserved, allocated),), report, text = looked_at("case_s12.py", 1)
    assert (reserved, allocated) == (62 * MIB, 0)
    (device,) = report["processes"][0]["devices"]
    (torch,) = device["allocators"]
    pools = torch["graph_pools"]
    assert (pools["reserved_bytes"], pools["allocated_bytes"]) == (reserved, 0)
    assert torch["private_bytes"] == reserved and torch["releasable_bytes"] == 0
    assert began - 10**6 <= pools["since_ns"] <= ended
    (site,) = pools["sites"]
    assert any("for the graph" in line for line in lines_of(report, site["site"], "case_s12.py"))
    assert "graph pools without a live block, since " in text


@pytest.fixture
def synced(machine):
    """Pids of two ranks and the engine they sent weights to, and the report."""
    started = []

    def sync(what, steps):
        environment = machine.preload() | {"PYTHONPATH": str(CHECKOUT / "python")}
        program = machine.start(VPYTHON, PROGRAMS / "case_s3.py", what, steps, **environment)
        started.append(program)
        pids = [int(word) for word in program.stdout.readline().split()]
        return pids, machine.report()

    yield sync
    for program in started:
        program.communicate(input="\n", timeout=120)


def test_s3_a_staging_buffer_that_the_engine_keeps_each_step_is_a_pin_of_each_rank(synced):
    steps, size = 26, 32 * MIB
    (*ranks, engine), report = synced("keep", steps)
    pins = [finding for finding in report["findings"] if finding["verdict"] == "ipc-pin"]
    assert sorted(pin["instances"][0]["pid"] for pin in pins) == ranks
    for pin in pins:
        assert (pin["confidence"], pin["cause"], pin["bytes"]) == ("alert", "growing", steps * size)
        said = numbers(pin)
        assert (said["pieces open"], said["opened"], said["closed"]) == (steps, steps, 0)
        assert said["steps of the oldest"] == steps - 1
        assert pin["rate"]["bytes_per_step"] == said["more in a step"] == size
        assert any("the staging buffer" in line for line in lines_of(report, pin["site"], "case_s3.py"))
        (holder,) = pin["holders"]
        assert holder["owner"] == f"engine (pid {engine})"
        assert (holder["bytes"], holder["blocks"]) == (steps * size, steps)
        assert any("opened by the engine" in line for line in lines_of(report, holder["site"], "case_s3.py"))
        assert f"engine (pid {engine}) opened them {steps} times and closed them 0 times" in pin["text"]
        assert "ipc_collect()" in pin["advice"]
    devices = {p["pid"]: p["devices"][0] for p in report["processes"] if p["devices"]}
    assert devices[engine]["imported_bytes"] == len(ranks) * steps * size
    assert devices[engine]["reserved_bytes"] < 2 * size


def test_s3_an_engine_that_drops_what_it_copied_pins_nothing(synced):
    (*ranks, engine), report = synced("drop", 26)
    assert [finding for finding in report["findings"] if finding["verdict"] == "ipc-pin"] == []
    devices = {p["pid"]: p["devices"][0] for p in report["processes"] if p["devices"]}
    assert devices[engine]["imported_bytes"] == 0 == len(devices[engine]["imports"])
    for rank in ranks:
        (export,) = devices[rank]["exports"]
        (opener,) = export["opened_by"]
        assert opener["opens"] == opener["closes"] > 0 == opener["pieces"]


@pytest.fixture
def synced_to_the_end(machine):
    """Pids of the ranks and the engine of a job that has ended, and the report of its trace."""

    def sync(what, steps):
        trace = machine.scratch / "trace"
        command = [MEMTRACE, "run", "-o", trace, "--", VPYTHON, PROGRAMS / "case_s3.py", what, steps]
        program = machine.start(*command, PYTHONPATH=str(CHECKOUT / "python"))
        out, _ = program.communicate(input="\n", timeout=240)
        assert program.returncode == 0
        return [int(word) for word in out.split()], machine.report(trace)

    return sync


def test_s3_a_pin_of_each_rank_is_told_when_the_job_has_ended_and_all_is_closed(synced_to_the_end):
    steps, size = 26, 32 * MIB
    (*ranks, engine), report = synced_to_the_end("keep", steps)
    assert {p["state"] for p in report["processes"]} == {"exited"}
    assert not any(device["imported_bytes"] for p in report["processes"] for device in p["devices"])
    pins = [finding for finding in report["findings"] if finding["verdict"] == "ipc-pin"]
    assert sorted(pin["instances"][0]["pid"] for pin in pins) == ranks
    # The piece of the last step was not there yet when that began.
    pieces = steps - 1
    for pin in pins:
        assert (pin["confidence"], pin["cause"], pin["bytes"]) == ("alert", "growing", pieces * size)
        said = numbers(pin)
        assert (said["pieces open"], said["opened"], said["closed"]) == (pieces, pieces, 0)
        assert pin["rate"]["bytes_per_step"] == said["more in a step"] == size
        assert any("the staging buffer" in line for line in lines_of(report, pin["site"], "case_s3.py"))
        (holder,) = pin["holders"]
        assert holder["owner"] == f"engine (pid {engine})"
        assert (holder["bytes"], holder["blocks"]) == (pieces * size, pieces)
        assert any("opened by the engine" in line for line in lines_of(report, holder["site"], "case_s3.py"))
        assert "when its last step began" in pin["text"]
        assert f"engine (pid {engine}) had opened them {pieces} times and closed them 0 times" in pin["text"]


def test_s3_an_engine_that_dropped_what_it_copied_pinned_nothing_when_the_job_has_ended(synced_to_the_end):
    _, report = synced_to_the_end("drop", 26)
    assert [finding for finding in report["findings"] if finding["verdict"] == "ipc-pin"] == []


def test_s7_what_nccl_takes_is_told_by_size_and_with_the_collective_that_took_it(looked_at):
    (before, after), report, text = looked_at("case_s7.py", 2)
    (device,) = report["processes"][0]["devices"]
    owners = {owner["name"]: owner for owner in device["owners"]}
    nccl = owners["libnccl.so.2"]
    assert nccl["bytes"] == sum(after) and sum(owner["bytes"] for owner in owners.values()) == device["reserved_bytes"]
    sizes = {each["size"]: each["extents"] for each in nccl["sizes"]}
    assert sizes == {10_485_760: after[0] // 10_485_760, 2_097_152: after[1] // 2_097_152}
    assert nccl["extents"] == sum(sizes.values())
    start, first = nccl["bursts"]
    assert (start["bytes"], first["bytes"]) == (sum(before), sum(after) - sum(before))
    assert start["calls"] + first["calls"] == nccl["extents"] and first["call"] == "cuMemCreate"
    assert any("the first collective" in line for line in lines_of(report, first["site"], "case_s7.py"))
    said = " ".join(text.split())
    assert "took 3.1 GiB of it at " in said
    assert f"in {first['calls']} calls of cuMemCreate, at " in said and " all_to_all" in said
    assert f"{sizes[10_485_760]} of 10.0 MiB, {sizes[2_097_152]} of 2.0 MiB" in said
    # The program's own memory is its own, and PyTorch's is PyTorch's.
    (program,) = [owner for name, owner in owners.items() if name.startswith("python")]
    assert program["bytes"] == 6 * MIB and owners["torch"]["bytes"] == 64 * MIB
