// libc10_cuda.so: calls libc10.so's functions as the caching allocator does.
#include <stdint.h>

void _ZN3c1027reportMemoryUsageToProfilerEPvlmmNS_6DeviceE(void *, int64_t, uint64_t, uint64_t, uint32_t);
void _ZN3c1027reportOutOfMemoryToProfilerElmmNS_6DeviceE(int64_t, uint64_t, uint64_t, uint32_t);

void report_blocks(void) {
    void *block = (void *)0x7000;
    _ZN3c1027reportMemoryUsageToProfilerEPvlmmNS_6DeviceE(block, 512, 512, 2048, 0xabcd0301);
    _ZN3c1027reportMemoryUsageToProfilerEPvlmmNS_6DeviceE(block, -512, 0, 2048, 0xabcd0301);
    _ZN3c1027reportMemoryUsageToProfilerEPvlmmNS_6DeviceE(block, 8, 8, 8, 0xff00);  // CPU
    _ZN3c1027reportMemoryUsageToProfilerEPvlmmNS_6DeviceE(block, 16, 16, 16, 0x7001);  // a CUDA device of no name
    _ZN3c1027reportOutOfMemoryToProfilerElmmNS_6DeviceE(1 << 20, 3, 4, 0x0001);
}
