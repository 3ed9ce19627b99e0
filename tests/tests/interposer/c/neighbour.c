// Another preloaded library that counts allocations on their way to the driver.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>

static int seen;

int cuMemAlloc_v2(uint64_t *address, uint64_t size) {
    static int (*real)(uint64_t *, uint64_t);
    if (!real) real = (int (*)(uint64_t *, uint64_t))dlsym(RTLD_NEXT, "cuMemAlloc_v2");
    seen++;
    return real(address, size);
}
__attribute__((destructor)) static void report(void) { fprintf(stderr, "neighbour saw %d\n", seen); }
