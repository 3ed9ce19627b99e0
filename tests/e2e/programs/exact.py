"""Random programs, and at their resting points memtrace's report held against PyTorch's own word.

    exact.py SEEDS        one interpreter, seeds 0 to SEEDS - 1, one line per seed, exit 1 on a difference

PyTorch's word is `torch.cuda.memory_snapshot()`, `memory_reserved()` and `memory_allocated()` of the
same process at the same moment; memtrace is asked from outside, as a user would.
"""

import collections
import gc
import json
import os
import random
import subprocess
import sys
import threading

import torch

RESTS = 20
ACTIONS_BETWEEN_RESTS = 25
# Each how many rests what is releasable is released, to see whether it is.
EMPTIED = 3
DEVICES = min(2, torch.cuda.device_count())


def ask():
    environment = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD"}
    out = subprocess.run(
        [os.environ["MEMTRACE_BIN"], "report", "-p", str(os.getpid()), "--json", "--segments"],
        env=environment,
        capture_output=True,
        text=True,
    )
    if out.returncode != 0:
        raise SystemExit(f"memtrace report failed: {out.stderr}")
    return json.loads(out.stdout)


def log_size():
    """512 B to 300 MiB, as likely to be small as large."""
    return int(512 * 2 ** random.uniform(0, 19.2))


class Program:
    """One random program. Blocks are held by name so that any of them can go."""

    def __init__(self, seed):
        random.seed(seed)
        self.blocks = []
        self.graphs = []
        self.pools = []
        self.streams = {d: [torch.cuda.Stream(d) for _ in range(2)] for d in range(DEVICES)}
        self.many = False

    def allocate(self):
        device = random.randrange(DEVICES)
        size = random.choice([log_size(), random.randrange(512, 4096)])
        if self.many:
            size = min(size, 4 << 20)
        self.blocks.append(torch.empty(size, dtype=torch.uint8, device=f"cuda:{device}"))

    def free(self):
        if self.blocks:
            self.blocks.pop(random.randrange(len(self.blocks)))

    def side_stream(self):
        device = random.randrange(DEVICES)
        with torch.cuda.device(device):
            with torch.cuda.stream(random.choice(self.streams[device])):
                block = torch.empty(log_size() // 8 + 512, dtype=torch.uint8, device="cuda")
            block.record_stream(torch.cuda.current_stream())
            if random.random() < 0.5:
                self.blocks.append(block)

    def thread(self):
        def work():
            for _ in range(random.randrange(1, 6)):
                self.blocks.append(torch.empty(log_size() // 16 + 512, dtype=torch.uint8, device="cuda"))

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def capture(self):
        if len(self.graphs) >= 4:
            return
        graph = torch.cuda.CUDAGraph()
        shared = random.choice([None] + [g.pool() for g, _ in self.graphs])
        kept = []
        with torch.cuda.graph(graph, pool=shared):
            for _ in range(random.randrange(1, 5)):
                scratch = torch.empty(log_size() // 4 + 512, dtype=torch.uint8, device="cuda")
                if random.random() < 0.5:
                    kept.append(scratch)
                del scratch
        self.graphs.append((graph, kept))

    def memory_pool(self):
        if self.pools or random.random() < 0.7:
            return
        pool = torch.cuda.MemPool()
        with torch.cuda.use_mem_pool(pool):
            held = [torch.empty(log_size() // 4 + 512, dtype=torch.uint8, device="cuda") for _ in range(3)]
        self.pools.append((pool, held[:2]))

    def step(self):
        weights = [
            (self.allocate, 40 if len(self.blocks) < (320 if self.many else 80) else 10),
            (self.free, 25),
            (self.side_stream, 6),
            (self.thread, 2),
            (self.capture, 1),
            (self.memory_pool, 1),
            (torch.cuda.empty_cache, 1),
        ]
        random.choices([w[0] for w in weights], [w[1] for w in weights])[0]()

    def fill(self):
        self.many = True
        while len(self.blocks) < 230:
            self.allocate()

    def thin(self):
        self.many = False
        while len(self.blocks) > 60:
            self.free()

    def close_pools(self):
        self.pools.clear()
        gc.collect()

    def end(self):
        self.blocks.clear()
        self.graphs.clear()
        self.close_pools()
        torch.cuda.synchronize()
        torch.cuda.empty_cache()


def snapshot():
    """Segments and live blocks by device, as PyTorch has them."""
    devices = collections.defaultdict(lambda: (set(), {}))
    for segment in torch.cuda.memory_snapshot():
        segments, blocks = devices[segment["device"]]
        segments.add((segment["address"], segment["total_size"]))
        for block in segment["blocks"]:
            if block["state"] == "active_allocated":
                blocks[block["address"], block["size"]] = block.get("frames", [])
    return devices


def ours(report, device):
    """Segments, blocks and allocator sums of owner torch, as memtrace has them."""
    (process,) = [p for p in report["processes"] if p["pid"] == os.getpid()]
    segments, blocks, sums = set(), {}, None
    for entry in process["devices"]:
        if entry["device"] != device:
            continue
        for segment in entry["segments"]:
            if segment["owner"] != "torch":
                continue
            segments.add((int(segment["address"], 16), segment["size"]))
            for block in segment["blocks"]:
                blocks[int(block["address"], 16), block["size"]] = block["site"]
        sums = next((a for a in entry["allocators"] if a["name"] == "torch"), None)
    return segments, blocks, sums, process


def python_frames(report, site):
    frames = report["sites"].get(site, {"frames": []})["frames"]
    return [(f["file"], f["line"]) for f in frames if f["kind"] == "python"]


def compare(program, rest, counts):
    """One resting point. Returns the differences as sentences."""
    torch.cuda.synchronize()
    wrong = []
    truth = snapshot()
    report = ask()
    for device in range(DEVICES):
        segments, blocks, sums, process = ours(report, device)
        expected_segments, expected_blocks = truth[device]
        reserved, allocated = torch.cuda.memory_reserved(device), torch.cuda.memory_allocated(device)
        if sums is None:
            if reserved:
                wrong.append(f"device {device}: {reserved} bytes reserved, and no allocator reported")
            continue
        if segments != expected_segments:
            extra, missing = sorted(segments - expected_segments)[:2], sorted(expected_segments - segments)[:2]
            wrong.append(f"device {device}: segments differ: extra {extra}, missing {missing}")
        if blocks.keys() != expected_blocks.keys():
            extra = sorted(blocks.keys() - expected_blocks.keys())[:2]
            missing = sorted(expected_blocks.keys() - blocks.keys())[:2]
            wrong.append(f"device {device}: blocks differ: extra {extra}, missing {missing}")
        for key, frames in expected_blocks.items():
            lines = [(f["filename"], f["line"]) for f in frames if f["filename"].endswith(".py")]
            found = python_frames(report, blocks.get(key))
            if lines and found[:1] != lines[:1]:
                wrong.append(f"device {device}: block {key} was made at {lines[:1]}, reported {found[:1]}")
                break
            counts["lines"] += bool(lines)
        if (sums["reserved_bytes"], sums["allocated_bytes"]) != (reserved, allocated):
            wrong.append(
                f"device {device}: reserved {sums['reserved_bytes']} of {reserved}, "
                f"allocated {sums['allocated_bytes']} of {allocated}"
            )
        parts = sums["stranded_bytes"] + sums["releasable_bytes"] + sums["private_bytes"]
        if sums["reserved_bytes"] - sums["allocated_bytes"] + sums["unbacked_bytes"] != parts:
            wrong.append(f"device {device}: the parts do not add up: {sums}")
        counts["blocks"] = max(counts["blocks"], len(expected_blocks))
        events = process["events"]
        if events["dropped"] or events["live_overflow"]:
            wrong.append(f"events were lost: {events}")
    counts["many"] += sum(len(b) for _, b in truth.values()) >= 200
    if rest % EMPTIED == EMPTIED - 1:
        wrong += compare_releasable(report, counts)
    return wrong


def compare_releasable(report, counts):
    """What `empty_cache()` gives back is what memtrace called releasable."""
    wrong = []
    before = [torch.cuda.memory_reserved(d) for d in range(DEVICES)]
    torch.cuda.empty_cache()
    for device in range(DEVICES):
        sums = ours(report, device)[2]
        gone = before[device] - torch.cuda.memory_reserved(device)
        releasable = sums["releasable_bytes"] if sums else 0
        if gone != releasable:
            wrong.append(f"device {device}: releasable {releasable}, empty_cache() gave back {gone}")
        counts["released"] += gone > 0
    return wrong


def main():
    torch.cuda.memory._record_memory_history(enabled="state", stacks="python", context="state")
    failed = False
    for seed in range(int(sys.argv[1])):
        program = Program(seed)
        counts = collections.Counter()
        for rest in range(RESTS):
            program.fill() if rest % 2 else program.thin()
            for _ in range(ACTIONS_BETWEEN_RESTS):
                program.step()
            if rest % 2:
                program.fill()
            if rest % EMPTIED == EMPTIED - 1:
                # A MemPool's free segments cannot be told from others, and come back with it only.
                program.close_pools()
            wrong = compare(program, rest, counts)
            for sentence in wrong:
                print(f"seed {seed}, rest {rest}: {sentence}", flush=True)
            failed |= bool(wrong)
        program.end()
        # A comparison that compared nothing would pass too.
        if counts["many"] < RESTS // 2 or not counts["lines"] or not counts["released"]:
            print(f"seed {seed}: tested too little: {dict(counts)}", flush=True)
            failed = True
        print(f"seed {seed}: {RESTS} rests, {dict(counts)}", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
