// tight PROGRAM: how much the kernel takes at most of a program that is started with another LD_PRELOAD.
#define _GNU_SOURCE
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static char filler[100001];
static char *list[] = {"LD_PRELOAD=./libtwo.so", NULL};

static int passes(char *program, int spawned, int length) {
    char *arguments[] = {program, filler, filler, filler + sizeof filler - 1 - length, NULL};
    int status = 0;
    pid_t child;
    if (spawned) {
        int result = posix_spawn(&child, program, NULL, NULL, arguments, list);
        if (result) return result == E2BIG ? 0 : -1;
    } else if ((child = vfork()) == 0) {
        execve(program, arguments, list);
        _exit(errno);
    }
    waitpid(child, &status, 0);
    return status == 0 ? 1 : WIFEXITED(status) && WEXITSTATUS(status) == E2BIG ? 0 : -1;
}

int main(int argc, char **argv) {
    struct rlimit stack;
    getrlimit(RLIMIT_STACK, &stack);
    stack.rlim_cur = 1 << 20;  // a quarter of it is for arguments and environment
    setrlimit(RLIMIT_STACK, &stack);
    memset(filler, 'x', sizeof filler - 1);
    for (int spawned = 0; spawned < 2; spawned++) {
        int least = 1, most = sizeof filler - 1;
        while (least < most) {
            int middle = (least + most + 1) / 2, passed = passes(argv[1], spawned, middle);
            if (passed < 0) return 1;
            if (passed) least = middle;
            else most = middle - 1;
        }
        printf("%d\n", least);
    }
}
