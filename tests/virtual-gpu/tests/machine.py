"""What the tests ask the virtual GPU beside what torch says of itself."""

import os
import signal
import subprocess
import sys

MIB = 1 << 20
GIB = 1 << 30


def used(device=0):
    """Bytes taken on the card by all processes, as the driver counts them."""
    import torch

    free, total = torch.cuda.mem_get_info(device)
    return total - free


def run(script, *arguments, timeout=120, **environment):
    """Runs Python source in a process of its own; returns what it printed. Its failure is the test's."""
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        env={**os.environ, **environment},
        cwd=os.path.dirname(os.path.abspath(__file__)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        timeout=timeout,
    )
    assert done.returncode == 0, f"exit {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


class Child:
    """A process that runs Python source until it prints a line, and then waits for its end."""

    def __init__(self, script):
        self.process = subprocess.Popen(
            [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.line = self.process.stdout.readline().strip()
        assert self.line, "the child ended before it was ready"

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
