"""Processes that hold memory after their time.

    case_s17.py orphan SIGN    a child takes memory and lives until the file SIGN is there; its parent,
                               the job, ends before
    case_s17.py thread SIGN    the main thread ends, another lives until the file is there: to whoever
                               looks the process is dead
    case_s17.py bystander SIGN takes a little, and lives until the file is there

Each writes to SIGN.ready what it holds, as PyTorch says, and its pid.
"""

import ctypes
import os
import pathlib
import subprocess
import sys
import threading
import time

MIB = 1 << 20
SYS_EXIT = 60


def hold(size, sign):
    import torch

    memory = torch.empty(size, dtype=torch.uint8, device="cuda")
    partial = pathlib.Path(f"{sign}.partial")
    partial.write_text(f"{torch.cuda.memory_reserved()} {os.getpid()}")
    partial.rename(f"{sign}.ready")
    return memory


def wait_for(path):
    while not os.path.exists(path):
        time.sleep(0.02)


def main():
    how, sign = sys.argv[1:]
    if how == "orphan":
        nowhere = {name: subprocess.DEVNULL for name in ("stdin", "stdout", "stderr")}
        subprocess.Popen([sys.executable, __file__, "bystander", sign], **nowhere)
        wait_for(f"{sign}.ready")
    elif how == "bystander":
        memory = hold(512 * MIB, sign)
        wait_for(sign)
        del memory
    else:
        memory = hold(768 * MIB, sign)
        threading.Thread(target=lambda: (wait_for(sign), os._exit(0))).start()
        # Not Python's exit, which would end the process.
        ctypes.CDLL(None).syscall(SYS_EXIT, 0)


if __name__ == "__main__":
    main()
