"""Every hooked name, asked of the real driver in each way, comes back wrapped; no other name does.

    LD_PRELOAD=libmemtrace.so resolution.py LIBRARY

Also counts how many addresses from `cuGetProcAddress` are exported symbols of the driver: memtrace
looks them up by address and falls back to names where that fails.
"""

import ctypes
import os
import re
import subprocess
import sys

VERSIONS = (11030, 11080, 12000, 12040, 12080, 13000, 13010)
FLAGS = (0, 1, 2)


def exported(path):
    out = subprocess.run(["nm", "-D", "--defined-only", path], capture_output=True, text=True, check=True)
    return {line.split()[-1].split("@")[0] for line in out.stdout.splitlines()}


def mapped(name):
    """Address ranges of a library of this process."""
    ranges, path = [], None
    for line in open("/proc/self/maps"):
        fields = line.split()
        if len(fields) > 5 and name in os.path.basename(fields[5]):
            start, end = (int(x, 16) for x in fields[0].split("-"))
            ranges.append((start, end))
            path = fields[5]
    return ranges, path


def main():
    library = sys.argv[1]
    driver = ctypes.CDLL("libcuda.so.1")
    assert driver.cuInit(0) == 0
    ours, _ = mapped(os.path.basename(library))
    _, driver_path = mapped("libcuda.so")
    names = exported(driver_path)
    hooked = exported(library) & names
    assert hooked, "no hooked name is exported by this driver"

    def is_ours(address):
        return any(start <= address < end for start, end in ours)

    libc = ctypes.CDLL(None)
    libc.dlsym.restype = ctypes.c_void_p
    libc.dlsym.argtypes = (ctypes.c_void_p, ctypes.c_char_p)
    wrong = []
    for name in sorted(names):
        if not name.startswith("cu"):
            continue
        address = libc.dlsym(driver._handle, name.encode())
        if is_ours(address) != (name in hooked):
            wrong.append(f"dlsym {name}")
    by_address = {libc.dlsym(driver._handle, name.encode()): name for name in names}
    get = driver.cuGetProcAddress_v2
    get.argtypes = (ctypes.c_char_p, ctypes.POINTER(ctypes.c_void_p), ctypes.c_int, ctypes.c_uint64, ctypes.c_void_p)
    found = unexported = 0
    for base in sorted({re.sub(r"(_v\d+)?(_pt[sd][sz]?)?$", "", name) for name in names if name.startswith("cu")}):
        for version in VERSIONS:
            for flags in FLAGS:
                pointer = ctypes.c_void_p()
                if get(base.encode(), ctypes.byref(pointer), version, flags, None) or not pointer.value:
                    continue
                found += 1
                symbol = by_address.get(pointer.value)
                if symbol is None and not is_ours(pointer.value):
                    unexported += 1
                elif symbol is not None and is_ours(pointer.value) != (symbol in hooked):
                    wrong.append(f"cuGetProcAddress {base} {version} {flags}")
    print(f"{len(hooked)} hooked names of {len(names)}; {found} answers of cuGetProcAddress, {unexported} not exported")
    for line in wrong[:20]:
        print("not as it should be:", line)
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
