// Says what it was started with, and takes memory.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int cuInit(unsigned), cuMemAlloc_v2(uint64_t *, uint64_t);

int main(void) {
    uint64_t address;
    const char *preload = getenv("LD_PRELOAD"), *folder = getenv("MEMTRACE_DIR");
    printf("%s %s %d\n", preload ? preload : "-", folder ? folder : "-", cuInit(0) + cuMemAlloc_v2(&address, 8));
}
