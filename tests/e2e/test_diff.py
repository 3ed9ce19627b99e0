"""What differs between two moments, and between two runs, is what PyTorch says differs."""

import json

import pytest
from conftest import PROGRAMS, ProgramMachine
from machine import CHECKOUT, MEMTRACE, VPYTHON

MODULE = str(CHECKOUT / "python")
STEPS = 40


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run that keeps 64 KiB a step, one that keeps 96 KiB, and PyTorch's word of both."""
    scratch = tmp_path_factory.mktemp("runs")
    machine = ProgramMachine(scratch)
    told = {}
    for name, kept in (("small", 64 << 10), ("large", 96 << 10)):
        program = [VPYTHON, PROGRAMS / "growing.py", STEPS, kept]
        out = machine.run(MEMTRACE, "run", "-o", scratch / name, "--", *program, PYTHONPATH=MODULE)
        assert out.returncode == 0, out.stderr
        told[name] = json.loads(out.stdout)
    yield machine, told
    machine.close()


def compare(machine, *arguments):
    out = machine.run(MEMTRACE, "diff", *arguments, "--json")
    assert out.returncode == 0, out.stderr
    return json.loads(out.stdout)


def by_function(entries):
    """Entries of sites by the function of the second frame: the first is `take` everywhere."""
    named = {}
    for entry in entries:
        functions = [frame["function"] for frame in entry["site"]["frames"]]
        named.setdefault(functions[functions.index("take") + 1], entry)
    return named


def test_two_moments_of_a_run_differ_as_pytorch_says(runs):
    machine, told = runs
    first, second = 5, 30
    diff = compare(machine, f"small@step:{first}", f"@step:{second}")
    before, after = told["small"][first], told["small"][second]
    assert diff["one_run"] and diff["comparable"]
    (role,) = diff["roles"]
    assert role["name"] == "growing.py"
    for side, figures in (("a", before), ("b", after)):
        assert role[side]["allocated_bytes"] == figures["allocated"]
        assert role[side]["reserved_bytes"] == figures["reserved"]
    sites = by_function(diff["sites"])
    assert sites.keys() == {"keep", "scratch"}
    keep = sites["keep"]
    assert (keep["a_bytes"], keep["b_bytes"]) == (sum(before["kept"].values()), sum(after["kept"].values()))
    assert (keep["a_blocks"], keep["b_blocks"]) == (len(before["kept"]), len(after["kept"]))
    assert keep["change"] == "grown"
    gone = sites["scratch"]
    assert (gone["change"], gone["a_bytes"], gone["b_bytes"]) == ("gone", before["early"], 0)
    assert diff["unchanged"] == {"sites": 1, "bytes": after["weights"]}
    # What step 5 kept was given back in step 15.
    assert diff["survivors"] == {"born": f"step {first}", "sites": []}
    step = {phase["name"]: phase for phase in diff["phases"]}["step *"]
    assert (step["a"]["count"], step["b"]["count"]) == (first + 1, second + 1)
    assert step["b"]["survived_bytes"] == after["kept"][str(second)]


@pytest.mark.parametrize("step", [0, 22, 30])
def test_survivors_of_a_step_are_those_that_pytorch_still_has(runs, step):
    machine, told = runs
    for later in (step + 1, step + 5, min(step + 12, STEPS - 1)):
        diff = compare(machine, f"small@step:{step}", f"@step:{later}")
        kept = told["small"][later]["kept"].get(str(step), 0)
        survivors = by_function(diff["survivors"]["sites"])
        assert sum(site["bytes"] for site in diff["survivors"]["sites"]) == kept
        assert set(survivors) == ({"keep"} if kept else set())


def test_moments_by_mark_by_time_and_by_phase(runs):
    machine, told = runs
    diff = compare(machine, "small@mark:model loaded", f"@step:{STEPS - 1}")
    last = told["small"][-1]
    (role,) = diff["roles"]
    assert role["a"]["allocated_bytes"] == last["weights"] + told["small"][0]["early"]
    assert role["b"]["allocated_bytes"] == last["allocated"]
    # All that was taken since then and is held is what PyTorch says is kept.
    assert diff["survivors"]["born"] == "the time from A to B"
    kept = by_function(diff["survivors"]["sites"])["keep"]
    assert (kept["bytes"], kept["blocks"]) == (sum(last["kept"].values()), len(last["kept"]))
    (early,) = compare(machine, "small@0s", "@step:3")["roles"]
    assert early["a"] is None and early["b"]["allocated_bytes"] == told["small"][3]["allocated"]
    saved = machine.scratch / "small.json"
    saved.write_text(machine.run(MEMTRACE, "report", "small", "--json").stdout)
    same = compare(machine, saved, "small")
    assert same["one_run"] and same["sites"] == [] and same["survivors"] is None


def test_two_runs_are_matched_by_role_and_line(runs):
    machine, told = runs
    diff = compare(machine, "small@step:30", "large@step:30")
    small, large = told["small"][30], told["large"][30]
    assert not diff["one_run"] and diff["comparable"] and diff["survivors"] is None
    (role,) = diff["roles"]
    assert role["a"]["pids"] != role["b"]["pids"]
    assert (role["a"]["allocated_bytes"], role["b"]["allocated_bytes"]) == (small["allocated"], large["allocated"])
    (keep,) = diff["sites"]
    assert (keep["a_bytes"], keep["b_bytes"]) == (sum(small["kept"].values()), sum(large["kept"].values()))
    assert keep["a_blocks"] == keep["b_blocks"] == len(small["kept"])
    text = machine.run(MEMTRACE, "diff", "small@step:30", "large@step:30").stdout
    assert "grown" in text and "growing.py:" in text
    assert all(len(line) <= 100 for line in text.splitlines())


def test_runs_of_other_programs_have_no_line_in_common_and_are_told_so_once(runs):
    machine, _ = runs
    out = machine.run(MEMTRACE, "run", "-o", "other", "--", VPYTHON, PROGRAMS / "steps.py", PYTHONPATH=MODULE)
    assert out.returncode == 0, out.stderr
    out = machine.run(MEMTRACE, "diff", "small@step:30", "other@step:20")
    assert out.returncode == 0 and out.stdout.count("no line of code in common") == 1
    assert "live by line" not in out.stdout


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["small@step:99", "small"], "its steps go from 0 to 39"),
        (["small@mark:nothing", "small"], "has no process that knows mark nothing"),
        (["small", "nowhere"], "nowhere names no trace folder"),
        (["small@later", "small"], "small@later names no trace folder and no moment"),
        (["small", "."], "is not a trace folder"),
        (["small", "small/trace.json"], "is no report of memtrace"),
    ],
)
def test_what_cannot_be_compared_is_said(runs, arguments, words):
    machine, _ = runs
    out = machine.run(MEMTRACE, "diff", *arguments)
    assert out.returncode == 2 and words in out.stderr, out.stderr
