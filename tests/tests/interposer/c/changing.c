// Starts a program with a list of its own while the process's own is in the middle of a change.
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

int main(void) {
    const char *preload = getenv("LD_PRELOAD");
    char kept[4096] = "LD_PRELOAD=";
    strncat(kept, preload ? preload : "", sizeof kept - 16);
    char *list[] = {kept, NULL}, *arguments[] = {"none", NULL};
    // As `setenv` of another thread leaves it for a moment: freed, and the allocator writes into it.
    char *freed[] = {(char *)8, NULL}, **own = environ;
    environ = freed;
    pid_t child;
    int result = posix_spawn(&child, "./no-such-program", NULL, NULL, arguments, list);
    environ = own;
    printf("%d\n", result);
}
