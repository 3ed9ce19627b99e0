"""A prefix cache as servers have it: one tensor of token positions for each node of a tree. Every
prompt is new here, and the bound is far away."""

import torch


class RadixCache:
    def __init__(self, bound):
        self.nodes, self.bound = {}, bound

    def insert(self, prompt, tokens):
        if len(self.nodes) < self.bound:
            self.nodes[prompt] = torch.empty(tokens, dtype=torch.int64, device="cuda")
