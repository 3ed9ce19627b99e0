"""torch_memory_saver: memory is given back and taken again under the same address, as engines do between phases."""

import sysconfig
from pathlib import Path

import pytest

from machine import run

PAUSES = """
import os, sys, torch
from torch_memory_saver import torch_memory_saver as saver
from machine import MIB, used

saver.hook_mode = sys.argv[1]
with saver.region(enable_cpu_backup=True):
    kept = torch.empty(64 * MIB, dtype=torch.uint8, device="cuda")
kept.copy_(torch.arange(64 * MIB, dtype=torch.int64).to(torch.uint8))
torch.cuda.synchronize()
address, held = kept.data_ptr(), used()
saver.pause()
assert held - used() == 64 * MIB, (held, used())
saver.resume()
assert used() == held
assert kept.data_ptr() == address
assert kept[-4:].cpu().tolist() == [252, 253, 254, 255]
print("kept", flush=True)
# In torch mode the library ends the process with status 1 when the interpreter's end frees its pool.
os._exit(0)
"""


PRELOAD = next(Path(sysconfig.get_path("purelib")).glob("torch_memory_saver_hook_mode_preload_cu13*.so"))


@pytest.mark.parametrize("mode", ["preload", "torch"])
def test_pause_gives_back_and_resume_brings_back_the_content(mode):
    environment = {"LD_PRELOAD": str(PRELOAD)} if mode == "preload" else {}
    assert run(PAUSES, mode, **environment).strip() == "kept"
