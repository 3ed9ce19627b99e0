"""A rank of a vision-language scheduler whose finished requests keep their `pixel_values`.

    pixel_values.py BATCHES

Prints, as JSON, the bytes it kept and how long that took; then it waits for a line.
"""

import json
import sys
import time

import gpu_memtrace
import torch

IMAGE_BYTES = 12 << 20
finished = []


class Request:
    def __init__(self):
        self.pixel_values = torch.empty(IMAGE_BYTES, dtype=torch.uint8, device="cuda")


def main():
    torch.empty(256 << 20, dtype=torch.uint8, device="cuda").fill_(0)
    begun = time.monotonic()
    for _ in range(int(sys.argv[1])):
        with gpu_memtrace.phase("batch"):
            requests = [Request(), Request()]
            activations = torch.empty(64 << 20, dtype=torch.uint8, device="cuda")
            time.sleep(0.01)
            del activations
            finished.extend(requests)
    seconds = time.monotonic() - begun
    kept = sum(request.pixel_values.untyped_storage().nbytes() for request in finished)
    told = {"bytes": kept, "seconds": seconds, "reserved": torch.cuda.memory_reserved()}
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()
    sys.stdin.readline()


if __name__ == "__main__":
    main()
