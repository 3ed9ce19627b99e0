// A program that asks the whole process for the driver, where there is none.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>

int main(void) {
    int (*init)(unsigned) = (int (*)(unsigned))dlsym(RTLD_DEFAULT, "cuInit");
    int (*alloc)(uint64_t *, uint64_t) = (int (*)(uint64_t *, uint64_t))dlsym(RTLD_DEFAULT, "cuMemAlloc_v2");
    uint64_t address = 5;
    printf("%d %d %lu\n", init ? init(0) : -1, alloc ? alloc(&address, 8) : -1, address);
}
