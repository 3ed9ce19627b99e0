/* A driver that does nothing, so that what is measured is the hook. What a thread gave back last it gets next, as from
   real drivers; with NEW_ADDRESSES in the environment every address is another one, whose place in the ledger is in no
   cache. What is given out at one time never overlaps. */
#include <stddef.h>
#include <stdlib.h>

static unsigned long long next = 0x7f0000000000;
static __thread unsigned long long again;
static int always_new;

int cuInit(unsigned flags) { return (void)flags, always_new = getenv("NEW_ADDRESSES") != NULL, 0; }
int cuDriverGetVersion(int *version) { return *version = 13000, 0; }
int cuCtxGetDevice(int *device) { return *device = 0, 0; }
int cuCtxGetCurrent(void **context) { return *context = (void *)1, 0; }
int cuDeviceTotalMem_v2(size_t *bytes, int device) { return (void)device, *bytes = 1ul << 36, 0; }
int cuDeviceGetUuid_v2(unsigned char *uuid, int device) { return (void)device, uuid[0] = 1, 0; }
int cuMemAlloc_v2(unsigned long long *pointer, size_t bytes) {
    *pointer = again ? again : __atomic_fetch_add(&next, bytes, __ATOMIC_RELAXED);
    return again = 0;
}
int cuMemFree_v2(unsigned long long pointer) { return again = always_new ? 0 : pointer, 0; }
