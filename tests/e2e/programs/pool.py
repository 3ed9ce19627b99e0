"""backend:cudaMallocAsync: allocated is exact, reserved is the driver's last reading."""

import json
import os
import random
import subprocess
import sys

import torch


def main():
    order = random.Random(int(sys.argv[1]))
    held = []
    for rest in range(20):
        for _ in range(40):
            if held and order.random() < 0.45:
                held.pop(order.randrange(len(held)))
            else:
                held.append(torch.empty(int(512 * 2 ** order.uniform(0, 17)), dtype=torch.uint8, device="cuda"))
        torch.cuda.synchronize()
        # PyTorch calls allocated what the driver calls used, which the driver rounds for each block.
        reserved, allocated = torch.cuda.memory_reserved(), sum(block.numel() for block in held)
        environment = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD"}
        command = [os.environ["MEMTRACE_BIN"], "report", "-p", str(os.getpid()), "--json", "--segments"]
        report = json.loads(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)
        (process,) = report["processes"]
        (device,) = process["devices"]
        (torch_sums,) = [a for a in device["allocators"] if a["name"] == "torch"]
        found = (torch_sums["backend"], torch_sums["reserved_bytes"], torch_sums["allocated_bytes"])
        blocks = sorted(b["size"] for s in device["segments"] for b in s["blocks"])
        assert found == ("cudaMallocAsync", reserved, allocated), (rest, found, reserved, allocated)
        assert len(blocks) == len(held), (rest, len(blocks), len(held))
    print("20 rests")


if __name__ == "__main__":
    main()
