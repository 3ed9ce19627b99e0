/* Another library that takes two of the driver's functions, by name and by dlsym, and hands on. */
#define _GNU_SOURCE
#include <dlfcn.h>

int cuMemAlloc_v2(unsigned long *out, unsigned long size) {
    int (*next)(unsigned long *, unsigned long) = dlsym(RTLD_NEXT, "cuMemAlloc_v2");
    return next ? next(out, size) : 3;
}

int cuMemFree_v2(unsigned long address) {
    int (*next)(unsigned long) = dlsym(RTLD_NEXT, "cuMemFree_v2");
    return next ? next(address) : 3;
}
