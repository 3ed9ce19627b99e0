// Linked to libcuda.so.1, as Triton's helpers and torch_memory_saver are.
#include <errno.h>
#include <stdint.h>
#include <stdio.h>

int cuInit(unsigned), cuMemAlloc_v2(uint64_t *, uint64_t), cuMemFree_v2(uint64_t);

int main(void) {
    uint64_t address = 0;
    int before = cuMemAlloc_v2(&address, 512);
    int init = cuInit(0);
    errno = 71;
    int good = cuMemAlloc_v2(&address, 4096);
    int bad = cuMemAlloc_v2(&address, 2ul << 30);
    int freed = cuMemFree_v2(address);
    int nothing = cuMemFree_v2(0);
    printf("%d %d %d %d %d %d %#lx errno %d\n", before, init, good, bad, freed, nothing, address, errno);
}
