// Another preloaded library that sees what is started.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <unistd.h>

int execve(const char *path, char *const arguments[], char *const list[]) {
    int (*real)(const char *, char *const[], char *const[]) = dlsym(RTLD_NEXT, "execve");
    if (write(2, "seen\n", 5) < 0) return -1;
    return real(path, arguments, list);
}
