/* The least that any preloaded library can do: it hands the two calls on. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>

int cuMemAlloc_v2(unsigned long long *pointer, size_t bytes) {
    static int (*real)(unsigned long long *, size_t);
    if (!real) real = (int (*)(unsigned long long *, size_t))dlsym(RTLD_NEXT, "cuMemAlloc_v2");
    return real(pointer, bytes);
}

int cuMemFree_v2(unsigned long long pointer) {
    static int (*real)(unsigned long long);
    if (!real) real = (int (*)(unsigned long long))dlsym(RTLD_NEXT, "cuMemFree_v2");
    return real(pointer);
}
