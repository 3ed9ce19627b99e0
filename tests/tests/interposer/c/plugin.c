// A plugin that is linked to the driver and takes it along when it is closed.
#include <stdint.h>

int cuInit(unsigned), cuMemAlloc_v2(uint64_t *, uint64_t);

int use_driver(void) {
    uint64_t address;
    return cuInit(0) + cuMemAlloc_v2(&address, 100);
}
