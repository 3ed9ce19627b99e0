// Forks and starts programs while other threads hold every lock that the loader has.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static int linger(struct dl_phdr_info *info, size_t size, void *data) { return usleep(100), 0; }
static void *walk(void *unused) { for (;;) dl_iterate_phdr(linger, NULL); }
static void *load(void *unused) { for (;;) dlclose(dlopen("./libone.so", RTLD_NOW)); }

int main(int argc, char **argv) {
    pthread_t thread;
    pthread_create(&thread, NULL, walk, NULL);
    pthread_create(&thread, NULL, load, NULL);
    char *arguments[] = {"true", NULL}, *list[] = {"LD_PRELOAD=./libtwo.so", NULL};
    int well = 0;
    for (int i = 0; i < 40; i++) {
        pid_t child = i % 2 ? fork() : _Fork();
        if (child == 0) {
            alarm(20);  // a child that waits for a lock waits for ever
            execve("/bin/true", arguments, list);
            _exit(1);
        }
        int status;
        waitpid(child, &status, 0);
        if (status) break;
        well++;
    }
    printf("%d\n", well);
    exit(0);
}
