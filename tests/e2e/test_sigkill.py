"""A process killed at any moment leaves what it held, with nobody watching.

Truth is what two others wrote down: the virtual GPU its calls, a preload library PyTorch's block
reports. A call under way at the kill may be in one and not yet in the other: one a thread.
"""

import call_logs
from conftest import PROGRAMS
from ledger import held
from machine import VPYTHON

KILLS = 50
THREADS = 2
RING = 65_536


def test_the_report_about_the_dead_is_what_others_wrote_down(machine):
    logs = machine.scratch / "logs"
    logs.mkdir()
    preload = f"{call_logs.build_c10_log(machine.scratch)}:{machine.preload()['LD_PRELOAD']}"
    job = machine.start(
        VPYTHON, PROGRAMS / "hot_loop.py", str(KILLS), LD_PRELOAD=preload, VGPU_LOG=str(logs), C10_LOG=str(logs)
    )
    wrapped = checked = 0
    for line in job.stdout:
        _, pid, _ = line.split()
        report = machine.report("-p", pid, "--segments")
        (process,) = report["processes"]
        segments, blocks = held(process)
        true_segments = call_logs.linear(logs / f"calls.{pid}.log")
        true_blocks, reports = call_logs.blocks(logs / f"blocks.{pid}")
        assert len(segments ^ true_segments) <= THREADS, (pid, segments ^ true_segments)
        assert len(blocks ^ true_blocks) <= THREADS, (pid, blocks ^ true_blocks)
        assert true_blocks and process["state"] in ("killed", "ended")
        wrapped += reports > RING
        checked += 1
        # 40,000 operations are logs of a few MB each: fifty of them need not lie about.
        for log in (logs / f"calls.{pid}.log", logs / f"blocks.{pid}"):
            log.unlink()
    assert job.wait(timeout=60) == 0, job.stderr.read()
    assert checked == KILLS and wrapped >= KILLS // 2
