// A program that opens its "PyTorch" as Python does: out of everybody's scope. Before or after cuInit.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

int cuInit(unsigned);

int main(int argc, char **argv) {
    int early = argc > 1 && !strcmp(argv[1], "early");
    if (early) cuInit(0);
    void *torch = dlopen("./libc10_cuda.so", RTLD_NOW | RTLD_LOCAL);
    if (!torch) return puts(dlerror()), 1;
    if (argc == 1) cuInit(0);
    ((void (*)(void))dlsym(torch, "report_blocks"))();
}
