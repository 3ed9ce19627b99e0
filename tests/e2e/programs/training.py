"""A normal training loop: warm-up, gradient accumulation, an optimizer with state, checkpoints, and
an evaluation with larger batches now and then. It keeps nothing that it should not.

Prints a line at the point of an epoch where most is in use, and goes on when it is told to.
"""

import sys

import torch
from torch import nn

EPOCHS = 8
STEPS = 4
WIDTH = 4096


def main():
    model = nn.Sequential(*[nn.Linear(WIDTH, WIDTH) for _ in range(6)]).cuda()
    optimizer = torch.optim.AdamW(model.parameters())
    for epoch in range(EPOCHS):
        for step in range(STEPS):
            batch = torch.empty(4096 if step % 2 else 2048, WIDTH, device="cuda")
            loss = model(batch).sum()
            if epoch == EPOCHS - 1 and step == STEPS - 1:
                print("in the midst of a step", flush=True)
                sys.stdin.readline()
            loss.backward()
            if step % 2:
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
        with torch.no_grad():
            model(torch.empty(6144, WIDTH, device="cuda"))
        checkpoint = {name: value.clone() for name, value in model.state_dict().items()}
        del checkpoint
    print("after the last step", flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    main()
