// Takes memory through both kinds of look-up, as the runtime libraries and as cuFFT do: a little, and too much.
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>

typedef int (*allocate)(uint64_t *, uint64_t);

int main(void) {
    void *driver = dlopen("libcuda.so.1", RTLD_NOW), *found = 0;
    int (*init)(unsigned) = (int (*)(unsigned))dlsym(driver, "cuInit");
    int (*ask)(const char *, void **, int, uint64_t, int *) = dlsym(driver, "cuGetProcAddress_v2");
    uint64_t address;
    printf("%d %d\n", init(0), ask("cuMemAlloc", &found, 12000, 0, 0));
    allocate ways[] = {(allocate)found, (allocate)dlsym(driver, "cuMemAlloc_v2")};
    for (int i = 0; i < 2; i++) {
        printf("%d ", ways[i](&address, 4096));
        printf("%d\n", ways[i](&address, 2 << 20));
    }
}
