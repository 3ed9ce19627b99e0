// One allocation through dlsym; arguments change how the driver is opened and closed before it.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

int main(int argc, char **argv) {
    void *driver = dlopen("libcuda.so.1", RTLD_NOW);
    if (!driver) return puts("no driver"), 0;
    if (argc > 1 && !strcmp(argv[1], "reopen"))
        for (int i = 0; i < 3; i++) {
            int (*init)(unsigned) = (int (*)(unsigned))dlsym(driver, "cuInit");
            dlsym(driver, "cuMemAlloc_v2");
            if (!init(77)) return 1;  // a failure: nobody has any reason to keep the driver
            Dl_info where;
            dladdr(dlsym(driver, "cuDriverGetVersion"), &where);
            dlclose(driver);
            // Something else at its address, should it really be gone: it comes back elsewhere.
            mmap(where.dli_fbase, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
            driver = dlopen("libcuda.so.1", RTLD_NOW);
        }
    int (*init)(unsigned) = (int (*)(unsigned))dlsym(driver, "cuInit");
    int (*alloc)(uint64_t *, uint64_t) = (int (*)(uint64_t *, uint64_t))dlsym(driver, "cuMemAlloc_v2");
    uint64_t address;
    int ready = init(0);
    int result = alloc(&address, 100);
    printf("%d %d\n", ready, result);
}
