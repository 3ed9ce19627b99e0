// A driver of a few functions. Every allocation lies at its own made-up address.
#include <dlfcn.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static uint64_t next = 0x10000;
static int initialised;

int cuMemFree_v2(uint64_t);

// Looks itself up, as the driver of WSL does.
static int finds_itself(void) {
    void *self = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
    int found = dlsym(self, "cuMemFree_v2") == (void *)cuMemFree_v2;
    dlclose(self);
    return found;
}

int cuInit(unsigned flags) {
    if (getenv("LOOK_YOURSELF_UP") && !finds_itself()) return 55;
    if (flags == 77) return 1;
    initialised = 1;
    return 0;
}
int cuDriverGetVersion(int *version) { *version = 13020; return 0; }
// Questions that only the library asks: their errno is not the program's.
int cuCtxGetDevice(int *device) { errno = 5, *device = 0; return initialised ? 0 : 3; }
int cuCtxGetCurrent(uint64_t *context) { *context = 0xc0; return 0; }
int cuDeviceGetUuid_v2(uint64_t uuid[2], int device) { uuid[0] = 0xaa, uuid[1] = device; return 0; }
int cuDeviceTotalMem_v2(uint64_t *total, int device) { *total = 1 << 30; return 0; }

static int allocate(uint64_t *address, uint64_t size) {
    if (!initialised) return 3;
    if (size > 1 << 30) return 2;
    *address = __atomic_fetch_add(&next, 0x1000, __ATOMIC_RELAXED);
    return 0;
}
int cuMemAlloc_v2(uint64_t *address, uint64_t size) { return allocate(address, size); }
int cuMemAlloc(uint32_t *address, uint32_t size) {
    uint64_t wide;
    int result = allocate(&wide, size);
    if (!result) *address = wide;
    return result;
}
int cuMemFree_v2(uint64_t address) { return address < 0x10000; }
int cuMemAllocAsync(uint64_t *address, uint64_t size, uint64_t stream) { return allocate(address, size); }
int cuMemAllocAsync_ptsz(uint64_t *address, uint64_t size, uint64_t stream) { return allocate(address, size); }
// What a later CUDA might bring: other arguments under a known name.
int cuMemAlloc_v3(int a, int b, int c, int d, uint64_t *address) { return allocate(address, 1); }
// What a driver might do one day: an address that is no exported symbol's.
static int hidden_host_alloc(uint64_t *address, uint64_t size, unsigned flags) { return allocate(address, size); }

int cuGetProcAddress(const char *name, void **function, int version, uint64_t flags);

int cuGetProcAddress_v2(const char *name, void **function, int version, uint64_t flags, int *status) {
    static const struct { const char *name; int version, twin; void *function; } table[] = {
        {"cuInit", 2000, 0, cuInit},
        {"cuMemAlloc", 2000, 0, cuMemAlloc},
        {"cuMemAlloc", 3020, 0, cuMemAlloc_v2},
        {"cuMemAlloc", 14000, 0, cuMemAlloc_v3},
        {"cuMemFree", 3020, 0, cuMemFree_v2},
        {"cuMemAllocAsync", 11020, 0, cuMemAllocAsync},
        {"cuMemAllocAsync", 11020, 2, cuMemAllocAsync_ptsz},
        {"cuMemHostAlloc", 2020, 0, hidden_host_alloc},
        {"cuGetProcAddress", 11030, 0, cuGetProcAddress},
        {"cuGetProcAddress", 12000, 0, cuGetProcAddress_v2},
    };
    if (!name || !function) return 1;
    *function = 0;
    for (unsigned i = 0; i < sizeof table / sizeof *table; i++)
        if (!strcmp(table[i].name, name) && table[i].version <= version && (table[i].twin & ~flags) == 0)
            *function = table[i].function;
    if (status) *status = *function ? 0 : 1;
    return 0;
}
int cuGetProcAddress(const char *name, void **function, int version, uint64_t flags) {
    return cuGetProcAddress_v2(name, function, version, flags, 0);
}
