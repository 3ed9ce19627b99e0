// libc10.so: the two functions as PyTorch has them, which say what reached them.
#include <stdint.h>
#include <stdio.h>

void _ZN3c1027reportMemoryUsageToProfilerEPvlmmNS_6DeviceE(void *p, int64_t size, uint64_t a, uint64_t r, uint16_t d) {
    printf("usage %p %ld %lu %lu %#x\n", p, size, a, r, d);
}
void _ZN3c1027reportOutOfMemoryToProfilerElmmNS_6DeviceE(int64_t size, uint64_t a, uint64_t r, uint16_t d) {
    printf("oom %ld %lu %lu %#x\n", size, a, r, d);
}
