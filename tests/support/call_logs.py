"""Independent truths: replays of the virtual GPU's call log and of the log of c10 calls."""

import struct
import subprocess

from machine import SUPPORT


def build_c10_log(folder):
    """The preload library that logs PyTorch's block reports."""
    library = folder / "libc10log.so"
    source = SUPPORT / "c10_log.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    return library


def calls(path):
    """Lines of a call log: name, arguments. A line cut off by the kill is no call."""
    written = path.read_bytes().split(b"\0", 1)[0].decode()
    for line in written.splitlines(keepends=True):
        if not line.endswith("\n"):
            return
        words = line.split()
        yield words[1], {key: int(value, 0) for key, value in (word.split("=") for word in words[2:])}


def linear(path):
    """What `cuMemAlloc` gave and `cuMemFree` did not take back: {(address, bytes)}."""
    held = {}
    for name, argument in calls(path):
        if argument["result"] != 0:
            continue
        if name == "cuMemAlloc":
            held[argument["dptr"]] = argument["size"]
        elif name == "cuMemFree":
            held.pop(argument["dptr"])
    return set(held.items())


def physical(path, device):
    """Bytes of a card that the calls of a log left held: allocations, and handles that are referenced
    or mapped."""
    allocations, handles, references, mapped = {}, {}, {}, {}
    for name, argument in calls(path):
        if argument["result"] != 0:
            continue
        if name == "cuMemAlloc" and argument["dev"] == device:
            allocations[argument["dptr"]] = argument["size"]
        elif name == "cuMemFree":
            allocations.pop(argument["dptr"], None)
        elif name == "cuMemCreate" and argument["dev"] == device:
            handles[argument["handle"]] = argument["size"]
            references[argument["handle"]] = 1
        elif name == "cuMemMap":
            mapped[argument["va"]] = argument["handle"]
            references[argument["handle"]] = references.get(argument["handle"], 0) + 1
        elif name == "cuMemUnmap":
            begin, end = argument["va"], argument["va"] + argument["size"]
            for va in [va for va in mapped if begin <= va < end]:
                references[mapped.pop(va)] -= 1
        elif name == "cuMemRelease":
            references[argument["handle"]] = references.get(argument["handle"], 0) - 1
        # A handle's number is given again.
        for handle in [handle for handle in handles if references[handle] == 0]:
            del handles[handle], references[handle]
    return sum(allocations.values()) + sum(handles.values())


def blocks(path):
    """What PyTorch reported as taken and not as given back: {(address, bytes)}."""
    with open(path, "rb") as file:
        (count, _) = struct.unpack("QQ", file.read(16))
        entries = file.read(16 * count)
    held = {}
    for pointer, size in struct.iter_unpack("Qq", entries):
        if size > 0:
            held[pointer] = size
        else:
            held.pop(pointer)
    return set(held.items()), count
