// A program of another C library: threads, look-ups, a program it starts.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void *look(void *name) { return dlsym(RTLD_DEFAULT, name); }

int main(int argc, char **argv) {
    pthread_t thread;
    void *found;
    pthread_create(&thread, NULL, look, "malloc");
    pthread_join(thread, &found);
    printf("%d %d %d\n", found != NULL, look("cuNoSuchName") != NULL, dlopen("libcuda.so.77", RTLD_NOW) != NULL);
    fflush(stdout);
    if (argc > 1) return 7;
    char *again[] = {argv[0], "again", NULL};
    int status;
    if (vfork() == 0) {
        execvp(argv[0], again);
        _exit(1);
    }
    wait(&status);
    return WEXITSTATUS(status);
}
