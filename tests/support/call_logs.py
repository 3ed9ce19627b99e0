"""Independent truths: replays of the virtual GPU's call log and of the log of c10 calls."""

import collections
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


class Held:
    """What the calls of one process left it with."""

    def __init__(self):
        # By address, pool or handle: the key of `held`, and the bytes.
        self.extents = {}
        # By handle that was imported: the exporter and its number for the memory.
        self.memory = {}
        # Of each handle: users, mappings and bindings together.
        self.references = {}
        self.mapped = {}
        self.bound = []

    def take(self, where, device, kind, size):
        self.extents[where] = ((device, kind) if kind != "pinned" else kind, size)

    def refer(self, handle, count):
        self.references[handle] = self.references.get(handle, 0) + count
        if self.references[handle] == 0:
            # A handle's number is given again.
            del self.references[handle]
            self.extents.pop(("handle", handle), None)
            self.memory.pop(("handle", handle), None)
            # What was bound to a multicast object goes with it.
            for team, device, offset, _ in [b for b in self.bound if b[0] == handle]:
                self.unbind(team, device, offset, offset + 1)

    def unmap(self, begin, end):
        for va in [va for va in self.mapped if begin <= va < end]:
            self.refer(self.mapped.pop(va), -1)

    def unbind(self, team, device, begin, end):
        gone = [b for b in self.bound if b[:2] == (team, device) and begin <= b[2] < end]
        for binding in gone:
            self.bound.remove(binding)
            self.refer(binding[3], -1)

    def apply(self, name, a):
        match name:
            case "cuMemAlloc" | "cuMemAllocPitch":
                self.take(a["dptr"], a["dev"], "linear", a["size"])
            case "cuMemAllocManaged":
                self.take(a["dptr"], a["dev"], "managed", a["size"])
            case "cuArrayCreate" | "cuArray3DCreate" | "cuMipmappedArrayCreate":
                self.take(a["array"], a["dev"], "array", a["size"])
            case "cuMemHostAlloc" | "cuMemAllocHost" | "cuMemHostRegister":
                self.take(a["ptr"], None, "pinned", a["size"])
            case "cuIpcOpenMemHandle":
                # Opened again it has the address that it had.
                self.references[a["dptr"]] = self.references.get(a["dptr"], 0) + 1
                self.take(a["dptr"], a["dev"], "imported", a["size"])
            case "cuImportExternalMemory":
                self.take(a["memory"], a["dev"], "imported", a["size"])
            case "cuDestroyExternalMemory":
                self.extents.pop(a["memory"])
            case "cuMemPoolImportPointer":
                self.take(a["dptr"], a["dev"], "imported", a["size"])
            case "cuMemFree" | "cuMemFreeAsync":
                self.extents.pop(a["dptr"], None)
            case "cuArrayDestroy" | "cuMipmappedArrayDestroy":
                self.extents.pop(a["array"])
            case "cuMemFreeHost" | "cuMemHostUnregister":
                self.extents.pop(a["ptr"])
            case "cuIpcCloseMemHandle":
                self.references[a["dptr"]] -= 1
                if self.references[a["dptr"]] == 0:
                    del self.references[a["dptr"]], self.extents[a["dptr"]]
            case "poolReserve":
                kind = "graph" if a["graph"] else "pool"
                self.take(("pool", a["pool"]), a["dev"], kind, a["reserved"])
            case "cuMemCreate" | "cuMemImportFromShareableHandle":
                # A handle of this process that it imports again stays what it is.
                if ("handle", a["handle"]) not in self.extents:
                    kind = "vmm" if name == "cuMemCreate" else "imported"
                    self.take(("handle", a["handle"]), a["dev"], kind, a["size"])
                    if kind == "imported" and a["owner"]:
                        self.memory["handle", a["handle"]] = a["owner"], a["id"]
                self.refer(a["handle"], 1)
            case "cuMemRetainAllocationHandle" | "cuMulticastCreate":
                self.refer(a["handle"], 1)
            case "cuMemRelease":
                self.refer(a["handle"], -1)
            case "cuMemMap":
                self.mapped[a["va"]] = a["handle"]
                self.refer(a["handle"], 1)
            case "cuMemUnmap":
                self.unmap(a["va"], a["va"] + a["size"])
            case "regionMapped":
                self.refer(a["memory"], 1)
            case "regionUnmapped":
                self.refer(a["memory"], -1)
            case "cuMulticastBindMem" | "cuMulticastBindAddr":
                self.bound.append((a["handle"], a["dev"], a["offset"], a["memory"]))
                self.refer(a["memory"], 1)
            case "cuMulticastUnbind":
                self.unbind(a["handle"], a["dev"], a["offset"], a["offset"] + a["size"])


def held(path):
    """What the calls of a log left held: {(device, kind): bytes}, and pinned host memory as "pinned". Memory
    of another process counts once, however many handles of it there are."""
    state = Held()
    for name, argument in calls(path):
        if argument["result"] == 0:
            state.apply(name, argument)
    sums, counted = collections.Counter(), set()
    for where, (kind, size) in state.extents.items():
        memory = state.memory.get(where, where)
        if memory not in counted:
            sums[kind] += size
        counted.add(memory)
    return {kind: size for kind, size in sums.items() if size}


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
