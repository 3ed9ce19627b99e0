// Everything by dlsym and cuGetProcAddress, as the runtime libraries do.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>

typedef int (*gpa1)(const char *, void **, int, uint64_t);
typedef int (*gpa2)(const char *, void **, int, uint64_t, int *);

int main(int argc, char **argv) {
    void *driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    gpa2 ask = (gpa2)dlsym(driver, "cuGetProcAddress_v2");
    void *f = (void *)1;
    int status = 9;
    printf("empty %d", ask("", &f, 0, 0, NULL)), printf(" %p\n", f);
    printf("null %d %d\n", ask(NULL, &f, 12000, 0, &status), ask("cuInit", NULL, 12000, 0, &status));
    printf("suffixed %d", ask("cuMemAlloc_v2", &f, 12000, 0, &status)), printf(" %d %p\n", status, f);

    // The interface itself, of both versions.
    ask("cuGetProcAddress", &f, 11080, 0, &status);
    gpa1 ask1 = (gpa1)f;
    ask("cuGetProcAddress", &f, 12000, 0, &status);
    ask = (gpa2)f;

    ask1("cuInit", &f, 12000, 0);
    printf("init %d\n", ((int (*)(unsigned))f)(0));

    uint64_t address = 0;
    uint32_t narrow[2] = {0, 0x5555};
    ask1("cuMemAlloc", &f, 12000, 0);
    printf("alloc %d\n", ((int (*)(uint64_t *, uint64_t))f)(&address, 1000));
    ask("cuMemAlloc", &f, 2000, 0, &status);
    printf("narrow %d %#x\n", ((int (*)(uint32_t *, uint32_t))f)(narrow, 2000), narrow[1]);
    ask("cuMemAllocAsync", &f, 12000, 0, &status);
    printf("async %d\n", ((int (*)(uint64_t *, uint64_t, uint64_t))f)(&address, 3000, 1));
    ask("cuMemAllocAsync", &f, 12000, 2, &status);
    printf("twin %d\n", ((int (*)(uint64_t *, uint64_t, uint64_t))f)(&address, 4000, 1));
    ask("cuMemHostAlloc", &f, 12000, 0, &status);
    printf("unexported %d\n", ((int (*)(uint64_t *, uint64_t, unsigned))f)(&address, 5000, 0));
    ask("cuMemAlloc", &f, 14000, 0, &status);
    printf("later %d\n", ((int (*)(int, int, int, int, uint64_t *))f)(1, 2, 3, 4, &address));
    f = dlsym(driver, "cuMemFree_v2");
    printf("free %d %d\n", ((int (*)(uint64_t))f)(0x10000), ((int (*)(uint64_t))f)(0x1));
}
