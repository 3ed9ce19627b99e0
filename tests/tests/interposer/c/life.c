// Threads, fork and exec; every process and thread allocates and frees.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int cuInit(unsigned), cuMemAlloc_v2(uint64_t *, uint64_t), cuMemFree_v2(uint64_t);

static void *work(void *times) {
    for (long i = 0; i < (long)times; i++) {
        uint64_t address;
        if (cuMemAlloc_v2(&address, 64) || cuMemFree_v2(address)) abort();
    }
    return NULL;
}

static pthread_key_t key;
static void last(void *value) { work((void *)1); }

static void *work_and_leave(void *times) {
    pthread_setspecific(key, (void *)1);  // a destructor that allocates, after the thread's end
    return work(times);
}

int main(int argc, char **argv) {
    if (cuInit(0)) return 1;
    work((void *)1);
    if (argc > 1) return 0;  // what exec made of us
    pthread_key_create(&key, last);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, work_and_leave, (void *)100);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    int status;
    if (fork() == 0) { work((void *)1); _exit(7); }
    wait(&status);
    if (WEXITSTATUS(status) != 7) return 2;
    if (vfork() == 0) execl(argv[0], argv[0], "again", (char *)0);
    wait(&status);
    return status;
}
