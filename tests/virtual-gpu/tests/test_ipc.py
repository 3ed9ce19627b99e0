"""CUDA memory shared between processes: legacy handles by default, file descriptors where segments are expandable."""

import pytest

from machine import run

# The parent shares a tensor; the child reads it, writes into it and reports. Memory counts once, for its owner.
SHARES = """
import torch
import torch.multiprocessing as mp
from machine import MIB, used

def child(queue, answers):
    torch.cuda.init()
    torch.cuda.synchronize()
    shared = queue.get()
    assert shared.device.type == "cuda"
    seen = shared[:4].cpu().tolist()
    shared[4:8].copy_(torch.tensor([9, 9, 9, 9], dtype=torch.int32))
    torch.cuda.synchronize()
    answers.put((seen, torch.cuda.memory_reserved(), used()))
    queue.get()

if __name__ == "__main__":
    context = mp.get_context("spawn")
    queue, answers = context.Queue(), context.Queue()
    other = context.Process(target=child, args=(queue, answers))
    other.start()
    block = torch.arange(8 * MIB, dtype=torch.int32).to("cuda")
    block[:4].copy_(torch.tensor([1, 2, 3, 4], dtype=torch.int32))
    queue.put(block)
    seen, reserved, total = answers.get(timeout=60)
    assert seen == [1, 2, 3, 4], seen
    assert block[4:8].cpu().tolist() == [9, 9, 9, 9], "the child's write is not visible"
    assert reserved <= 2 * MIB, f"the child took {reserved} bytes of its own"
    assert total == used()
    queue.put("end")
    other.join(60)
    assert other.exitcode == 0, other.exitcode
    print("shared")
"""


@pytest.mark.parametrize(
    "conf, call",
    [
        ("expandable_segments:False", "cuIpcOpenMemHandle"),
        ("expandable_segments:True", "cuMemImportFromShareableHandle"),
    ],
)
def test_a_child_sees_and_writes_the_parents_memory(conf, call, tmp_path):
    script = tmp_path / "share.py"
    script.write_text(SHARES)
    log = tmp_path / "log"
    log.mkdir()
    # A file and not -c: the spawned child imports it again.
    out = run(
        f"import runpy; runpy.run_path({str(script)!r}, run_name='__main__')",
        PYTORCH_ALLOC_CONF=conf,
        VGPU_LOG=str(log),
    )
    assert out.strip() == "shared"
    assert call in "".join(path.read_text() for path in log.iterdir())
