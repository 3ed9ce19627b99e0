/* ask: asks the driver for the names on standard input, in each way, and prints where each answer lies:
 * way, name, version, flags, file, how far from its beginning. Linked to each of the driver's names by `linked.h`. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "linked.h"

typedef int (*four_t)(const char *, void **, int, unsigned long);
typedef int (*five_t)(const char *, void **, int, unsigned long, int *);

/* As cuGetProcAddress counts: each CUDA that changed a function's version, those between, and some that are to come. */
static const int versions[] = {
    2000,  3000,  3010,  3020,  4000,  4010,  5000,  5050,  6000,  6050,  7000,  7050,  8000,  9000,  9020,  10000, 10010,
    10020, 11000, 11010, 11020, 11030, 11040, 11050, 11060, 11070, 11080, 12000, 12010, 12020, 12030, 12040, 12050, 12060,
    12080, 12090, 13000, 13010, 13020, 13030, 13040, 13050, 14000, 2147483647,
};

static void tell(const char *way, const char *name, int version, unsigned long flags, void *answer) {
    Dl_info about = {0};
    if (answer)
        dladdr(answer, &about);
    const char *object = about.dli_fname ? strrchr(about.dli_fname, '/') : NULL;
    object = object ? object + 1 : about.dli_fname ? about.dli_fname : "-";
    long offset = about.dli_fbase ? (char *)answer - (char *)about.dli_fbase : 0;
    printf("%s %s %d %lu %s %ld\n", way, name, version, flags, object, offset);
}

int main(void) {
    void *driver = dlopen("libcuda.so.1", RTLD_NOW);
    if (!driver) {
        fprintf(stderr, "%s\n", dlerror());
        return 2;
    }
    for (unsigned i = 0; i < sizeof linked / sizeof *linked; i++)
        tell("linked", linked[i].name, 0, 0, linked[i].function);
    four_t four = (four_t)dlsym(driver, "cuGetProcAddress");
    five_t five = (five_t)dlsym(driver, "cuGetProcAddress_v2");
    char name[256];
    while (scanf("%255s", name) == 1) {
        tell("dlsym", name, 0, 0, dlsym(driver, name));
        for (unsigned i = 0; i < sizeof versions / sizeof *versions; i++) {
            for (unsigned long flags = 0; flags < 3; flags++) {
                void *answer = NULL;
                if (four && !four(name, &answer, versions[i], flags) && answer)
                    tell("four", name, versions[i], flags, answer);
                int found = 0;
                answer = NULL;
                if (five && !five(name, &answer, versions[i], flags, &found) && answer)
                    tell("five", name, versions[i], flags, answer);
            }
        }
    }
    return 0;
}
