"""A training loop: weights, and steps of which each keeps a little more."""

import gpu_memtrace
import torch

weights = torch.empty(8 << 20, dtype=torch.uint8, device="cuda")
kept = []
for number in range(40):
    gpu_memtrace.step(number)
    with gpu_memtrace.phase("forward"):
        activations = torch.empty((number % 4 + 1) << 20, dtype=torch.uint8, device="cuda")
    kept.append(torch.empty(4096, dtype=torch.uint8, device="cuda"))
    del activations
