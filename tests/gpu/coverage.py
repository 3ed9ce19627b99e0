"""How much of what NVML sees for this process memtrace explains, context aside."""

import json
import os
import subprocess

import torch


def report():
    environment = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD"}
    command = [os.environ["MEMTRACE_BIN"], "report", "-p", str(os.getpid()), "--json"]
    out = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    (process,) = json.loads(out.stdout)["processes"]
    return process["devices"][0]


def main():
    torch.empty(1, device="cuda")
    torch.matmul(*(torch.ones(64, 64, device="cuda") for _ in range(2)))
    torch.cuda.synchronize()
    first = report()
    held = [torch.empty(256 << 20, dtype=torch.uint8, device="cuda") for _ in range(16)]
    second = report()
    grown = second["reserved_bytes"] - first["reserved_bytes"]
    print(f"reserved {second['reserved_bytes']}, NVML {second['nvml_bytes']}, grown {grown}")
    assert grown == sum(block.numel() for block in held)
    if first["nvml_bytes"] is None:
        print("NVML does not see this process (another pid namespace): share not checked")
        return
    seen = second["nvml_bytes"] - first["nvml_bytes"]
    share = grown / seen
    print(f"share of the growth that NVML sees: {share:.4f}")
    assert 0.98 <= share <= 1.02


if __name__ == "__main__":
    main()
