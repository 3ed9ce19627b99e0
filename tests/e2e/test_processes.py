"""Forks, late and repeated loading, constructors, destructors, signal handlers, many threads: what is held is known."""

import subprocess

import pytest
from conftest import PROGRAMS
from machine import CHECKOUT, VPYTHON

NOOP_DRIVER = CHECKOUT / "tests/bench/noop_driver.c"


@pytest.fixture
def trap(machine):
    """Runs a trap with and without the library, and tells the MiB that each process held at its end."""
    build = ["cc", "-O1", "-pthread"]
    subprocess.run(
        [*build, "-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", "-o", machine.scratch / "libcuda.so.1", NOOP_DRIVER],
        check=True,
    )
    program = machine.scratch / "traps"
    subprocess.run([*build, "-o", program, PROGRAMS / "traps.c", "-ldl"], check=True)

    def run(*arguments, **environment):
        environment["LD_LIBRARY_PATH"] = str(machine.scratch)
        bare = machine.run(program, *arguments, timeout=60, **environment)
        assert (bare.returncode, bare.stdout, bare.stderr) == (0, "0\n" * bare.stdout.count("\n"), "")
        traced = machine.run(program, *arguments, timeout=60, **environment, **machine.preload())
        assert (traced.returncode, traced.stdout, traced.stderr) == (0, bare.stdout, "")
        report = machine.report()
        assert all(process["events"]["dropped"] == 0 for process in report["processes"])
        held = [sum(d["reserved_bytes"] for d in process["devices"]) >> 20 for process in report["processes"]]
        return sorted(held)

    return run


@pytest.mark.parametrize("way", ["fork", "_Fork", "clone"])
def test_what_a_fork_takes_is_never_put_down_to_its_parent(trap, way):
    assert trap("after", way) == [5]


@pytest.mark.parametrize("way", ["fork", "_Fork", "clone"])
def test_a_fork_that_is_the_first_to_use_cuda_has_a_ledger_of_its_own_and_so_has_its_parent(trap, way):
    assert trap("before", way) == [1, 2]


@pytest.mark.parametrize("way", ["vfork", "posix_spawn"])
def test_a_program_that_was_started_has_a_ledger_of_its_own_whatever_its_parent_did(trap, way):
    assert trap("after", way) == [2, 5]


def test_a_driver_that_is_closed_and_opened_again_goes_on_being_recorded(trap):
    assert trap("reopen") == [3]


def test_what_constructors_exit_handlers_and_destructors_take_is_recorded(trap):
    assert trap("end", TRAP_FIRST="1") == [16 + 8 + 4 + 2 + 1]


def test_signal_handlers_that_take_memory_in_the_middle_of_a_call_leave_an_exact_ledger(trap):
    assert trap("signals") == [1]


def test_512_threads_at_once_leave_an_exact_ledger(trap):
    assert trap("threads", "512") == [1 + 256]


VISIBLE = """
import torch
kept = torch.empty(3 << 20, dtype=torch.uint8, device="cuda:0")
print(torch.cuda.device_count(), torch.cuda.get_device_properties(0).uuid)
"""


@pytest.mark.parametrize("how", ["number", "uuid"])
def test_memory_is_put_down_to_the_card_it_is_on_however_the_cards_were_chosen(machine, how):
    cards = machine.run(VPYTHON, "-c", VISIBLE, VGPU_DEVICES="2", CUDA_VISIBLE_DEVICES="1")
    count, second = cards.stdout.split()
    assert count == "1"
    chosen = {"number": "1,0", "uuid": f"GPU-{second}"}[how]
    out = machine.run(
        VPYTHON, "-c", VISIBLE, VGPU_DEVICES="2", CUDA_VISIBLE_DEVICES=chosen, **machine.preload()
    )
    assert out.stdout.split() == ["2" if how == "number" else "1", second], out.stderr
    (process,) = machine.report()["processes"]
    (device,) = process["devices"]
    assert (device["uuid"], device["reserved_bytes"]) == (f"GPU-{second}", 20 << 20)
