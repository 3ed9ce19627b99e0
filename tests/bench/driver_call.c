/* ns per cuMemAlloc + cuMemFree pair of a driver that does nothing: driver_call PAIRS. The least of many short
   rounds, some of which nobody interrupts on a busy machine. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int cuInit(unsigned flags);
int cuMemAlloc_v2(unsigned long long *pointer, size_t bytes);
int cuMemFree_v2(unsigned long long pointer);

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e9 + t.tv_nsec;
}

int main(int argc, char **argv) {
    long pairs = argc > 1 ? atol(argv[1]) : 100000;
    double least = 1e18;
    if (cuInit(0)) return 1;
    for (int round = 0; round < 60; round++) {
        double start = now();
        for (long i = 0; i < pairs; i++) {
            unsigned long long pointer;
            if (cuMemAlloc_v2(&pointer, 2 << 20) || cuMemFree_v2(pointer)) return 1;
        }
        double each = (now() - start) / pairs;
        if (each < least) least = each;
    }
    printf("%.1f\n", least);
    return 0;
}
