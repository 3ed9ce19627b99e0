"""A job shaped like a vision-language server: three processes, one GPU, some tens of requests.

    tokenizer     turns images into patches on the GPU (the Qwen2-VL image processor)
    scheduler     holds weights and a KV pool and runs a forward step per request
    detokenizer   never touches CUDA

Each request's image has another size, and nothing is kept after a request. Yet the tokenizer's
caching allocator keeps the largest scratch of every size it met: its reserved memory creeps.
"""

import multiprocessing
import os
import queue
import random
import sys
import time

REQUESTS = 40
KV_LAYERS = 24
KV_BYTES = 8 << 30
HIDDEN = 2048
MAX_BATCH = 4096
# Servers outlive their requests. NVML is asked once a second: this is long enough for one reading
# that sees all of them, however busy the machine is.
IDLE_SECONDS = 2.5


def image_size(request):
    """Width and height in pixels, growing with the requests, never twice the same."""
    jitter = random.Random(request)
    return 448 + 40 * request + jitter.randrange(32), 336 + 30 * request + jitter.randrange(32)


def tokenizer(requests, features):
    import numpy
    import torch
    from transformers import Qwen2VLImageProcessor

    processor = Qwen2VLImageProcessor()

    def preprocess(image):
        batch = processor(images=[image], return_tensors="pt", device="cuda")
        return batch["pixel_values"].shape[0]

    for request in iter(requests.get, None):
        width, height = image_size(request)
        pixels = numpy.zeros((height, width, 3), dtype=numpy.uint8)
        features.put((request, preprocess(torch.from_numpy(pixels).permute(2, 0, 1))))


def scheduler(features, tokens):
    import torch

    def load_weights():
        return torch.nn.Sequential(
            *(torch.nn.Linear(HIDDEN, HIDDEN, device="cuda") for _ in range(KV_LAYERS))
        )

    def allocate_kv_cache():
        shape = (KV_BYTES // KV_LAYERS // 2,)
        return [torch.empty(shape, dtype=torch.float16, device="cuda") for _ in range(KV_LAYERS)]

    def forward(patches):
        with torch.no_grad():
            return model(torch.empty(min(patches, MAX_BATCH), HIDDEN, device="cuda")).shape[0]

    model = load_weights()
    cache = allocate_kv_cache()
    forward(MAX_BATCH)  # servers warm up with their largest batch
    for request, patches in iter(features.get, None):
        tokens.put((request, forward(patches)))
    del cache


def detokenizer(tokens, answers):
    for request, count in iter(tokens.get, None):
        answers.put(f"request {request}: {count} tokens")


def main():
    context = multiprocessing.get_context("spawn")
    requests, features, tokens, answers = (context.Queue() for _ in range(4))
    stages = [
        (tokenizer, (requests, features)),
        (scheduler, (features, tokens)),
        (detokenizer, (tokens, answers)),
    ]
    processes = []
    for stage, queues in stages:
        os.environ["MEMTRACE_ROLE"] = stage.__name__
        process = context.Process(target=stage, args=queues, name=stage.__name__)
        process.start()
        processes.append(process)
    del os.environ["MEMTRACE_ROLE"]

    answered = 0
    while answered < REQUESTS and all(process.is_alive() for process in processes):
        requests.put(answered)
        if not answer(answers, processes):
            break
        answered += 1
    print(f"{answered} of {REQUESTS} requests answered", file=sys.stderr, flush=True)
    if answered == REQUESTS:
        time.sleep(IDLE_SECONDS)
    for inbox in (requests, features, tokens):
        inbox.put(None)
    for process in processes:
        process.join()
    ended_well = all(process.exitcode == 0 for process in processes)
    return 0 if answered == REQUESTS and ended_well else 1


def answer(answers, processes):
    """The next answer, or None if a stage died before it came."""
    while all(process.is_alive() for process in processes):
        try:
            return answers.get(timeout=0.5)
        except queue.Empty:
            pass
    return None


if __name__ == "__main__":
    sys.exit(main())
