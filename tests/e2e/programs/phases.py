"""Random blocks in named phases, and PyTorch's own word of each phase as JSON.

    phases.py nvtx|python|outside SEED   marks by torch.cuda.nvtx, by gpu_memtrace, by memtrace mark

PyTorch's word of a phase's peak is `max_memory_allocated()` after `reset_peak_memory_stats()` at its
begin; of what survived it the blocks under what this program still holds. Prints
{"truth": {name: [figures of each]}, "report": the live report}.
"""

import collections
import contextlib
import json
import os
import random
import subprocess
import sys

import torch

DEVICE = "cuda:0"
STEPS = 20


class Truth:
    """What PyTorch says of each phase. Peaks of phases inside one another go up to the outer ones."""

    def __init__(self):
        self.told = collections.defaultdict(list)
        self.open = []

    def begin(self, name):
        self.note_peak()
        torch.cuda.reset_peak_memory_stats()
        self.open.append({"name": name, "allocated": 0, "reserved": 0, "born": set()})

    def note_peak(self):
        allocated, reserved = torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved()
        for phase in self.open:
            phase["allocated"] = max(phase["allocated"], allocated)
            phase["reserved"] = max(phase["reserved"], reserved)

    def end(self, held):
        self.note_peak()
        torch.cuda.reset_peak_memory_stats()
        phase = self.open.pop()
        survivors = {block.data_ptr() for key, block in held.items() if key in phase["born"]}
        blocks = [block for segment in torch.cuda.memory_snapshot() for block in segment["blocks"]]
        sizes = [block["size"] for block in blocks if block["address"] in survivors]
        self.told[phase["name"]].append(
            {
                "allocated": phase["allocated"],
                "reserved": phase["reserved"],
                "survived": sum(sizes),
                "blocks": len(sizes),
            }
        )

    def born(self, key):
        for phase in self.open:
            phase["born"].add(key)


class Program:
    def __init__(self, marks, seed):
        random.seed(seed)
        self.marks, self.truth, self.held, self.made = marks, Truth(), {}, 0

    def allocate(self, most=1 << 24):
        size = int(512 * 2 ** random.uniform(0, 15))
        self.made += 1
        self.truth.born(self.made)
        self.held[self.made] = torch.empty(min(size, most), dtype=torch.uint8, device=DEVICE)

    def free(self):
        if self.held:
            del self.held[random.choice(list(self.held))]

    def phase(self, name, work):
        self.truth.begin(name)
        with self.marks(name):
            work()
        self.truth.end(self.held)

    def churn(self):
        for _ in range(random.randrange(1, 30)):
            random.choices([self.allocate, self.free, torch.cuda.empty_cache], [5, 4, 0.2])[0]()

    def step(self, number):
        def work():
            self.phase("forward", self.churn)
            self.churn()
            self.phase("backward", lambda: self.phase("reduce", self.churn))

        self.phase(f"step {number}", work)


def nvtx(name):
    return torch.cuda.nvtx.range(name)


@contextlib.contextmanager
def outside(name):
    memtrace("mark", "-p", os.getpid(), "--begin", name)
    yield
    memtrace("mark", "-p", os.getpid(), "--end", name)


def memtrace(*arguments):
    """What the command says, which is no part of this job: it is not preloaded."""
    environment = {key: value for key, value in os.environ.items() if key != "LD_PRELOAD"}
    command = [os.environ["MEMTRACE_BIN"], *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def main():
    marks = {"nvtx": nvtx, "outside": outside}.get(sys.argv[1])
    if sys.argv[1] == "python":
        import gpu_memtrace

        assert gpu_memtrace.is_traced()
        marks = gpu_memtrace.phase
    program = Program(marks, int(sys.argv[2]))
    program.allocate()
    for number in range(STEPS):
        program.step(number)
    torch.cuda.nvtx.range_push("the last thing")
    program.allocate()
    live = json.loads(memtrace("report", "-p", os.getpid(), "--json"))
    print(json.dumps({"truth": program.truth.told, "report": live}))


if __name__ == "__main__":
    main()
