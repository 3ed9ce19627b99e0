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

import ledger
import torch

RESTS = 20
ACTIONS_BETWEEN_RESTS = 25
# Each how many rests what is releasable is released, to see whether it is.
EMPTIED = 3
DEVICES = min(2, torch.cuda.device_count())


def ask():
    """What a user sees from outside: the report, and this process in it."""
    environment = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD"}
    out = subprocess.run(
        [os.environ["MEMTRACE_BIN"], "report", "-p", str(os.getpid()), "--json", "--segments"],
        env=environment,
        capture_output=True,
        text=True,
    )
    if out.returncode != 0:
        raise SystemExit(f"memtrace report failed: {out.stderr}")
    report = json.loads(out.stdout)
    (process,) = [p for p in report["processes"] if p["pid"] == os.getpid()]
    return report, process


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

    def capture(self, keeps=False):
        if len(self.graphs) >= 4:
            return
        graph = torch.cuda.CUDAGraph()
        shared = random.choice([None] + [g.pool() for g, _ in self.graphs])
        kept = []
        with torch.cuda.graph(graph, pool=shared):
            for _ in range(random.randrange(1, 5)):
                scratch = torch.empty(log_size() // 4 + 512, dtype=torch.uint8, device="cuda")
                if keeps or random.random() < 0.5:
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

    def leave_a_free_segment(self):
        """On each device: larger than any block, so that no segment with live blocks had room for it."""
        for device in range(DEVICES):
            torch.empty(512 << 20, dtype=torch.uint8, device=f"cuda:{device}")

    def close_pools(self):
        self.pools.clear()
        gc.collect()

    def end(self):
        self.blocks.clear()
        self.graphs.clear()
        self.close_pools()
        torch.cuda.synchronize()
        torch.cuda.empty_cache()


def python_frames(report, site):
    frames = report["sites"].get(site, {"frames": []})["frames"]
    return [(f["file"], f["line"]) for f in frames if f["kind"] == "python"]


def graph_pool_differences(process, device, snapshot, pools, counts):
    """What memtrace says of graph pools, against the segments of the pools PyTorch captured into."""
    segments = [s for s in snapshot if s["device"] == device and tuple(s["segment_pool_id"]) in pools]
    live = [b["size"] for s in segments for b in s["blocks"] if b["state"] == "active_allocated"]
    expected = sum(segment["total_size"] for segment in segments), sum(live)
    sums = ledger.ours(process, device)[2]
    if sums is None:
        return []
    found = sums["graph_pools"]
    (used,) = [entry["sites"] for entry in process["devices"] if entry["device"] == device]
    by_line = [sum(s["bytes"] for s in found["sites"]), sum(s["graph_pool_bytes"] for s in used)]
    counts["graph_pools"] += bool(live)
    wrong = []
    for told in (found["reserved_bytes"], found["allocated_bytes"]), tuple(by_line):
        if told != expected:
            wrong.append(f"device {device}: graph pools {told}, PyTorch says {expected}")
    return wrong


def compare(rest, pools, counts):
    """One resting point. Returns the differences as sentences."""
    torch.cuda.synchronize()
    wrong = []
    snapshot = torch.cuda.memory_snapshot()
    report, process = ask()
    for device in range(DEVICES):
        totals = torch.cuda.memory_reserved(device), torch.cuda.memory_allocated(device)
        wrong += ledger.differences(process, device, snapshot, *totals)
        wrong += graph_pool_differences(process, device, snapshot, pools, counts)
        blocks = ledger.ours(process, device)[1]
        expected_blocks = ledger.theirs(snapshot)[device][1]
        for key, frames in expected_blocks.items():
            lines = [(f["filename"], f["line"]) for f in frames if f["filename"].endswith(".py")]
            found = python_frames(report, blocks.get(key))
            if lines and found[:1] != lines[:1]:
                wrong.append(f"device {device}: block {key} was made at {lines[:1]}, reported {found[:1]}")
                break
            counts["lines"] += bool(lines)
    counts["many"] += sum(len(blocks) for _, blocks in ledger.theirs(snapshot).values()) >= 200
    if rest % EMPTIED == EMPTIED - 1:
        wrong += compare_releasable(process, counts)
    return wrong


def compare_releasable(process, counts):
    """What `empty_cache()` gives back is what memtrace called releasable."""
    wrong = []
    before = [torch.cuda.memory_reserved(d) for d in range(DEVICES)]
    torch.cuda.empty_cache()
    for device in range(DEVICES):
        sums = ledger.ours(process, device)[2]
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
        program.capture(keeps=True)
        for rest in range(RESTS):
            program.fill() if rest % 2 else program.thin()
            for _ in range(ACTIONS_BETWEEN_RESTS):
                program.step()
            if rest % 2:
                program.fill()
            if rest % EMPTIED == EMPTIED - 1:
                # A MemPool's free segments cannot be told from others, and come back with it only.
                program.close_pools()
                program.leave_a_free_segment()
            pools = {tuple(graph.pool()) for graph, _ in program.graphs}
            wrong = compare(rest, pools, counts)
            for sentence in wrong:
                print(f"seed {seed}, rest {rest}: {sentence}", flush=True)
            failed |= bool(wrong)
        program.end()
        # A comparison that compared nothing would pass too.
        compared = counts["lines"], counts["released"], counts["graph_pools"]
        if counts["many"] < RESTS // 2 or 0 in compared:
            print(f"seed {seed}: tested too little: {dict(counts)}", flush=True)
            failed = True
        print(f"seed {seed}: {RESTS} rests, {dict(counts)}", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
