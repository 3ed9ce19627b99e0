"""A job whose every visible effect is printed: values, exceptions, statistics, exit code."""

import sys

import torch


def main():
    x = torch.arange(1 << 20, dtype=torch.float32).cuda()
    print(x.cpu().sum().item())
    print(torch.cuda.mem_get_info())
    stats = torch.cuda.memory_stats()
    print({k: v for k, v in sorted(stats.items()) if "current" in k})
    try:
        torch.empty(1 << 40, dtype=torch.uint8, device="cuda")
    except torch.OutOfMemoryError as error:
        print(type(error), str(error).split(" Process ")[0].split(" Of the ")[0])
    print("to stderr", file=sys.stderr)
    raise ValueError("and out")


if __name__ == "__main__":
    main()
