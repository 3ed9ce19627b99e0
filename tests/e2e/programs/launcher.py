"""Starts a process in each of the ways that launchers use, with LD_PRELOAD replaced by the library of
torch_memory_saver, which has to find itself there: each takes so many MiB through it, and leaves with them.

    launcher.py LIBRARY
"""

import contextlib
import multiprocessing
import os
import subprocess
import sys

MIB = 1 << 20
TAKES = "import launcher; launcher.{}({})"


def take(mib, through=contextlib.nullcontext):
    import torch

    with through():
        kept = torch.empty(mib * MIB, dtype=torch.uint8, device="cuda")
    print(kept.numel() // MIB, flush=True)
    os._exit(0)


def take_saved(mib):
    from torch_memory_saver import torch_memory_saver

    take(mib, torch_memory_saver.region)


def main():
    os.environ["LD_PRELOAD"] = sys.argv[1]
    os.environ["PYTHONPATH"] = os.path.dirname(os.path.abspath(__file__)) + ":" + os.environ.get("PYTHONPATH", "")
    python = [sys.executable, "-c"]
    subprocess.run([*python, TAKES.format("take_saved", 32)], check=True)
    subprocess.run([*python, TAKES.format("take_saved", 64)], check=True, env=dict(os.environ), close_fds=False)
    for mib, method in ((96, "spawn"), (128, "forkserver")):
        context = multiprocessing.get_context(method)
        child = context.Process(target=take_saved, args=(mib,))
        child.start()
        child.join()
    # As Ray starts its workers.
    worker = TAKES.format("take_saved", 160)
    command = f"exec {sys.executable} -c '{worker}'"
    pid = os.fork()
    if pid == 0:
        os.execvp("bash", ["bash", "-c", command])
    os.waitpid(pid, 0)
    # A user who removes the library wants none.
    removed = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    subprocess.run([*python, TAKES.format("take", 192)], check=True, env=removed)


if __name__ == "__main__":
    main()
