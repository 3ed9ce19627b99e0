"""memtrace's report of one process, held against what PyTorch says in that process."""

import collections


def theirs(snapshot):
    """Segments and live blocks by device, of a `torch.cuda.memory_snapshot()`."""
    devices = collections.defaultdict(lambda: (set(), {}))
    for segment in snapshot:
        segments, blocks = devices[segment["device"]]
        segments.add((segment["address"], segment["total_size"]))
        for block in segment["blocks"]:
            if block["state"] == "active_allocated":
                blocks[block["address"], block["size"]] = block.get("frames", [])
    return devices


def ours(process, device):
    """Segments, blocks with their sites, and sums of owner torch, of a report's process."""
    segments, blocks, sums = set(), {}, None
    for entry in process["devices"]:
        if entry["device"] != device:
            continue
        # In a sleep a block keeps its address, and its memory and segment are gone.
        for block in entry["unbacked_blocks"]:
            blocks[int(block["address"], 16), block["size"]] = block["site"]
        for segment in entry["segments"]:
            if segment["owner"] != "torch":
                continue
            segments.add((int(segment["address"], 16), segment["size"]))
            for block in segment["blocks"]:
                blocks[int(block["address"], 16), block["size"]] = block["site"]
        sums = next((a for a in entry["allocators"] if a["name"] == "torch"), None)
    return segments, blocks, sums


def held(process):
    """Segments and blocks of a process on all its devices, whoever took them."""
    segments, blocks = set(), set()
    for device in process["devices"]:
        for segment in device["segments"]:
            segments.add((int(segment["address"], 16), segment["size"]))
            blocks |= {(int(block["address"], 16), block["size"]) for block in segment["blocks"]}
    return segments, blocks


def differences(process, device, snapshot, reserved, allocated):
    """What memtrace's `process` says about a device and PyTorch does not, as sentences."""
    segments, blocks, sums = ours(process, device)
    expected_segments, expected_blocks = theirs(snapshot)[device]
    wrong = []
    if segments != expected_segments:
        wrong.append(f"device {device}: segments differ: {sample(segments, expected_segments)}")
    if blocks.keys() != expected_blocks.keys():
        wrong.append(f"device {device}: blocks differ: {sample(blocks.keys(), expected_blocks.keys())}")
    if sums is None:
        if reserved:
            wrong.append(f"device {device}: {reserved} bytes reserved, no allocator reported")
        return wrong
    if reserved != sums["reserved_bytes"]:
        wrong.append(f"device {device}: reserved {sums['reserved_bytes']}, PyTorch says {reserved}")
    if allocated != sums["allocated_bytes"]:
        wrong.append(f"device {device}: allocated {sums['allocated_bytes']}, PyTorch says {allocated}")
    parts = sums["stranded_bytes"] + sums["releasable_bytes"] + sums["private_bytes"]
    if sums["reserved_bytes"] - sums["allocated_bytes"] + sums["unbacked_bytes"] != parts:
        wrong.append(f"device {device}: the parts do not add up: {sums}")
    events = process["events"]
    if events["dropped"] or events["live_overflow"]:
        wrong.append(f"events were lost: {events}")
    return wrong


def sample(found, expected):
    return f"extra {sorted(found - expected)[:2]}, missing {sorted(expected - found)[:2]}"


def files(report, used):
    """Files of the Python frames of a use's site, innermost first, from their package's folder on."""
    frames = report["sites"][used["site"]]["frames"]
    return [f["file"].rpartition("/site-packages/")[2] for f in frames if f["kind"] == "python"]
