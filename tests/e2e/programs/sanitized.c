// Takes device memory, then, if asked to, writes behind an allocation of its own: ASan has to see that.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int cuInit(unsigned), cuDevicePrimaryCtxRetain(void **, int), cuCtxSetCurrent(void *), cuMemAlloc_v2(uint64_t *, size_t);

int main(int argc, char **argv) {
    void *context;
    uint64_t address;
    int failed = cuInit(0) || cuDevicePrimaryCtxRetain(&context, 0) || cuCtxSetCurrent(context);
    printf("%d\n", failed || cuMemAlloc_v2(&address, 5 << 20));
    fflush(stdout);
    volatile char *own = malloc(10);
    own[argc > 1 ? 10 : 9] = 1;
    free((void *)own);
}
