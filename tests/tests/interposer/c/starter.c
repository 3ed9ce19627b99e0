// starter HOW WHAT PROGRAM: starts a program in one of the ways, with LD_PRELOAD changed in one of them.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char *list[64];

static void make_list(const char *what) {
    int n = 0, alone = !strncmp(what, "alone:", 6);
    for (char **entry = environ; *entry; entry++)
        if (strncmp(*entry, "LD_PRELOAD=", 11) && (!alone || !strncmp(*entry, "EVENTS=", 7))) list[n++] = *entry;
    if (!strcmp(what, "removed")) return;
    char *value = NULL;
    if (!strcmp(what, "kept")) value = getenv("LD_PRELOAD");
    if (asprintf(&list[n], "LD_PRELOAD=%s", value ? value : alone ? what + 6 : what) < 0) abort();
}

static int start(const char *how, char *program, char **arguments) {
    pid_t child;
    if (!strncmp(how, "posix_spawn", 11))
        return (how[11] ? posix_spawnp : posix_spawn)(&child, program, NULL, NULL, arguments, list);
    int file = open(program, O_RDONLY | O_CLOEXEC);
    if (vfork() == 0) {
        if (!strcmp(how, "execve")) execve(program, arguments, list);
        if (!strcmp(how, "execvpe")) execvpe(program, arguments, list);
        if (!strcmp(how, "execveat")) execveat(AT_FDCWD, program, arguments, list, 0);
        if (!strcmp(how, "fexecve")) fexecve(file, arguments, list);
        environ = list;  // the parent's too: it shares the child's memory
        if (!strcmp(how, "execv")) execv(program, arguments);
        if (!strcmp(how, "execvp")) execvp(program, arguments);
        if (!strcmp(how, "execl")) execl(program, program, (char *)0);
        _exit(errno);
    }
    return 0;
}

int main(int argc, char **argv) {
    make_list(argv[2]);
    char *arguments[] = {argv[3], NULL};
    int result = start(argv[1], argv[3], arguments), status = 0;
    wait(&status);
    printf("%d %d\n", result, WEXITSTATUS(status));
}
