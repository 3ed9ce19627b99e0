"""Jobs that keep nothing that they should not, and their twins that differ by one leaking line.

    twins.py JOB STEPS          the silent one
    twins.py JOB STEPS leak     its twin

Prints what it kept by its own count, as JSON.
"""

import collections
import json
import random
import sys
import time

import gpu_memtrace
import torch
from radix_cache import RadixCache
from torch import nn

LEAKS = sys.argv[3:] == ["leak"]
KEPT_BYTES = 192 << 10
kept = []


def tensor(size):
    return torch.empty(size, dtype=torch.uint8, device="cuda")


def keep():
    """The line by which twins differ: a tensor that nobody gives back."""
    if LEAKS:
        kept.append(torch.empty(KEPT_BYTES, dtype=torch.uint8, device="cuda"))


def scheduler():
    """Weights, a KV pool, and batches of requests that come and go; some stay over a few steps."""
    weights, pool = tensor(32 << 20), tensor(128 << 20)
    running = collections.deque()
    while True:
        running.append([tensor(random.randint(1, 64) << 10) for _ in range(random.randint(1, 6))])
        logits = tensor(random.randint(1, 8) << 20)
        keep()
        while len(running) > random.randint(2, 8):
            running.popleft()
        del logits
        yield weights, pool


def training():
    """Warm-up, gradient accumulation, an optimizer with state, checkpoints."""
    model = nn.Sequential(*[nn.Linear(256, 256) for _ in range(4)]).cuda()
    optimizer = torch.optim.AdamW(model.parameters())
    for number in range(1 << 20):
        for _ in range(4):
            loss = model(torch.empty(64, 256, device="cuda")).sum()
            loss.backward()
        if number % 3 == 2:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        if number % 20 == 19:
            checkpoint = [value.clone() for value in model.state_dict().values()]
            del checkpoint
        keep()
        yield model


def lru():
    """A cache of the last 24 of 400 images."""
    cache = collections.OrderedDict()
    while True:
        for _ in range(3):
            image = int(random.paretovariate(0.5)) % 400
            if image not in cache:
                cache[image] = tensor(random.randint(256, 1024) << 10)
            cache.move_to_end(image)
            if len(cache) > 24:
                cache.popitem(last=False)
        keep()
        yield cache


class ReplayBuffer:
    """Transitions of reinforcement learning, up to a number that the run does not reach."""

    def __init__(self):
        self.transitions = collections.deque(maxlen=100_000)

    def add(self):
        self.transitions.append(torch.empty(96 << 10, dtype=torch.uint8, device="cuda"))


def replay():
    buffer = ReplayBuffer()
    while True:
        buffer.add()
        batch = tensor(4 << 20)
        keep()
        del batch
        yield buffer


def graphs():
    """CUDA graphs captured in the first steps, as a server does while it warms up."""
    captured = []
    for number in range(1 << 20):
        if number < 8:
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                output = torch.empty((number + 1) << 18, device="cuda") * 2
            captured.append((graph, output))
        captured[number % len(captured)][0].replay()
        batch = tensor(2 << 20)
        keep()
        del batch
        yield captured


def radix():
    """Unique prompts fill a prefix cache."""
    cache = RadixCache(bound=1 << 20)
    number = 0
    while True:
        for _ in range(4):
            cache.insert(f"prompt {number}", random.randint(2_000, 9_000))
            number += 1
        keep()
        yield cache


def main():
    random.seed(11)
    job = globals()[sys.argv[1]]
    for number, _ in zip(range(int(sys.argv[2])), job()):
        gpu_memtrace.step(number)
        # Beside it the time between two steps is nothing, as in a real run.
        time.sleep(0.003)
    sizes = [block.untyped_storage().nbytes() for block in kept]
    told = {"job": job.__name__, "blocks": len(sizes), "bytes": sum(sizes)}
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
