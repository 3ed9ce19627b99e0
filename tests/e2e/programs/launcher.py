"""Starts a process in each of the ways that launchers use, with LD_PRELOAD replaced by another library;
each takes as many MiB as its way's place says, and leaves with them. `launcher.py LIBRARY`."""

import multiprocessing
import os
import subprocess
import sys

MIB = 1 << 20
TAKES = "import os, launcher; launcher.take({})"


def take(mib):
    import torch

    kept = torch.empty(mib * MIB, dtype=torch.uint8, device="cuda")
    print(kept.numel() // MIB, flush=True)
    os._exit(0)


def main():
    os.environ["LD_PRELOAD"] = sys.argv[1]
    os.environ["PYTHONPATH"] = os.path.dirname(os.path.abspath(__file__)) + ":" + os.environ.get("PYTHONPATH", "")
    python = [sys.executable, "-c"]
    subprocess.run([*python, TAKES.format(32)], check=True)
    subprocess.run([*python, TAKES.format(64)], check=True, env=dict(os.environ), close_fds=False)
    for mib, method in ((96, "spawn"), (128, "forkserver")):
        context = multiprocessing.get_context(method)
        child = context.Process(target=take, args=(mib,))
        child.start()
        child.join()
    # As Ray starts its workers.
    command = f"exec {sys.executable} -c '{TAKES.format(160)}'"
    pid = os.fork()
    if pid == 0:
        os.execvp("bash", ["bash", "-c", command])
    os.waitpid(pid, 0)
    # A user who removes the library wants none.
    removed = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    subprocess.run([*python, TAKES.format(192)], check=True, env=removed)


if __name__ == "__main__":
    main()
