"""Case S1: an image processor that runs in a server's tokenizer process. Its tensors are all freed, and
PyTorch's allocator keeps the scratch of the largest image of every size.

    case_s1.py          starts the two processes of the server, one after the other
    case_s1.py ROLE     is one

Each prints its role and pid, and what PyTorch says it had reserved and allocated after each request.
"""

import os
import subprocess
import sys

REQUESTS = 24
POOL = 256 << 20


def requests(role):
    import torch
    from transformers import Qwen2VLImageProcessor

    processor = Qwen2VLImageProcessor()
    pool = torch.empty(POOL, dtype=torch.uint8, device="cuda") if role == "scheduler" else None
    for request in range(REQUESTS):
        if role == "tokenizer":
            size = 448 + 56 * request
            image = torch.zeros(3, size, size, dtype=torch.uint8)
            pixels = processor(images=[image], return_tensors="pt", device="cuda")["pixel_values"]
        else:
            pixels = torch.empty(32 << 20, dtype=torch.uint8, device="cuda")
        del pixels
        yield torch.cuda.memory_reserved(), torch.cuda.memory_allocated()
    del pool


def main():
    if len(sys.argv) > 1:
        role = sys.argv[1]
        numbers = " ".join(f"{reserved},{allocated}" for reserved, allocated in requests(role))
        print(role, os.getpid(), numbers, flush=True)
        return 0
    roles = ["scheduler", "tokenizer"]
    command = [sys.executable, __file__]
    return sum(subprocess.call([*command, r], env=os.environ | {"MEMTRACE_ROLE": r}) for r in roles)


if __name__ == "__main__":
    sys.exit(main())
