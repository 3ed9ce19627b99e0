// A preloaded library that limits memory as those that share a card among containers do: it answers every
// look-up of a name that it has itself, whatever the handle, and calls what its own look-ups found.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define QUOTA (1 << 20)

typedef void *(*lookup)(void *, const char *);
static int seen, refused;

static void *real(const char *name) {
    static lookup find;
    static void *driver;
    if (!find) find = (lookup)dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.2.5");
    if (!driver) driver = dlopen("libcuda.so.1", RTLD_NOW);
    return find(driver, name);
}

int cuMemAlloc_v2(uint64_t *address, uint64_t size) {
    seen++;
    if (size > QUOTA) return refused++, 2;
    return ((int (*)(uint64_t *, uint64_t))real("cuMemAlloc_v2"))(address, size);
}

int cuGetProcAddress_v2(const char *name, void **function, int version, uint64_t flags, int *status) {
    int (*ask)(const char *, void **, int, uint64_t, int *) = real("cuGetProcAddress_v2");
    int result = ask(name, function, version, flags, status);
    if (!strcmp(name, "cuMemAlloc") && version >= 3020) *function = (void *)cuMemAlloc_v2;
    return result;
}

void *dlsym(void *handle, const char *name) {
    static lookup find;
    if (!find) find = (lookup)dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.2.5");
    if (!strcmp(name, "cuMemAlloc_v2")) return (void *)cuMemAlloc_v2;
    if (!strcmp(name, "cuGetProcAddress_v2")) return (void *)cuGetProcAddress_v2;
    return find(handle, name);
}

__attribute__((destructor)) static void report(void) { fprintf(stderr, "saw %d, refused %d\n", seen, refused); }
