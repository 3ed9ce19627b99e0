"""Four servers of image requests, forked from one interpreter; each prints its name and pid.

    creeping   sizes grow, nothing is kept: the allocator keeps every size's scratch
    fixed      one size
    emptied    sizes grow, `empty_cache()` after each request
    leaking    one size, one result in each request kept for ever
"""

import os
import sys

import torch
from transformers import Qwen2VLImageProcessor

REQUESTS = 30


def preprocess(processor, size):
    image = torch.zeros(3, size, size, dtype=torch.uint8)
    return processor(images=[image], return_tensors="pt", device="cuda")["pixel_values"]


def serve(name):
    processor = Qwen2VLImageProcessor()
    kept = []
    for request in range(REQUESTS):
        size = 448 if name in ("fixed", "leaking") else 448 + 56 * request
        pixels = preprocess(processor, size)
        if name == "leaking":
            kept.append(pixels.repeat(8, 1))
        del pixels
        if name == "emptied":
            torch.cuda.empty_cache()


def main():
    failed = False
    for name in ("creeping", "fixed", "emptied", "leaking"):
        child = os.fork()
        if child == 0:
            try:
                serve(name)
            except BaseException as error:
                print(f"{name}: {error!r}", file=sys.stderr, flush=True)
                os._exit(1)
            os._exit(0)
        print(name, child, flush=True)
        failed |= os.waitpid(child, 0)[1] != 0
    return failed


if __name__ == "__main__":
    sys.exit(main())
