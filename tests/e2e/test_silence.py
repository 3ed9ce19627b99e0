"""Where nothing is wrong the report says so, in one sentence, at any moment of the job."""

import re

from conftest import PROGRAMS
from machine import MEMTRACE, VPYTHON


def test_a_training_loop_is_told_calmly_in_the_midst_of_a_step_and_after_it(machine):
    # On a small card: the limits of fragmentation go by its size.
    program = machine.start(
        VPYTHON, PROGRAMS / "training.py", **machine.preload(), VGPU_TOTAL_MB=str(8 * 1024)
    )
    for _ in range(2):
        assert program.stdout.readline(), program.stderr.read()
        about = ["report", "-p", str(program.pid)]
        wrong = [f for f in machine.report(*about[1:])["findings"] if f["confidence"] != "info"]
        assert wrong == []
        first = machine.run(MEMTRACE, *about).stdout.splitlines()[0]
        assert re.fullmatch(r"\d+ (s|min), 1 process: nothing wrong was found.*", first), first
        program.stdin.write("\n")
        program.stdin.flush()
    _, err = program.communicate()
    assert program.returncode == 0, err
