// libone.so and libtwo.so: the same names, and a dlsym of their own.
#define _GNU_SOURCE
#include <dlfcn.h>

int shared_name(void) { return PART; }
int cuSharedName(void) { return PART; }
void *ask_from_here(void *handle, const char *name) {
    void *found = dlsym(handle, name);
    __asm__ volatile("" : "+r"(found));  // no tail call: the return address has to be here
    return found;
}
