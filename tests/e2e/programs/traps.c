// Takes driver memory at awkward moments: `traps NAME [WAY]`. Prints whether each call did what it should.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (1ul << 20)

static int (*init)(unsigned), (*alloc)(uint64_t *, size_t), (*give)(uint64_t);
static void *driver;

static void load(void) {
    driver = dlopen("libcuda.so.1", RTLD_NOW);
    init = (int (*)(unsigned))dlsym(driver, "cuInit");
    alloc = (int (*)(uint64_t *, size_t))dlsym(driver, "cuMemAlloc_v2");
    give = (int (*)(uint64_t))dlsym(driver, "cuMemFree_v2");
    if (!init || !alloc || !give || init(0)) _exit(90);
}

static uint64_t take(long mib) {
    uint64_t address;
    if (!alloc) load();
    if (alloc(&address, mib * MIB)) _exit(91);
    return address;
}

static void take_and_give(long mib) {
    uint64_t address = take(mib);
    if (give(address)) _exit(92);
}

static int start(const char *way, char **argv) {
    char *again[] = {argv[0], "alone", NULL};
    pid_t child;
    if (!strcmp(way, "posix_spawn")) return posix_spawn(&child, argv[0], NULL, NULL, again, environ) ? 0 : child;
    if (!strcmp(way, "vfork")) {
        if ((child = vfork()) == 0) {
            execv(argv[0], again);
            _exit(93);
        }
        return child;
    }
    if (!strcmp(way, "_Fork")) return _Fork();
    if (!strcmp(way, "clone")) return syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    return fork();
}

static int child_of(const char *way, char **argv) {
    int status, child = start(way, argv);
    if (child == 0) {
        take_and_give(64);  // so that what follows is not where the parent's next will be
        take(2);
        _exit(0);
    }
    return waitpid(child, &status, 0) == child ? status : -1;
}

static void reopen(void) {
    take(1);
    for (int i = 0; i < 3; i++) {
        dlclose(driver);
        load();
    }
    take(2);
}

static pthread_key_t key;
static pthread_barrier_t all_there;

static void in_last_round(void *rounds) {
    if ((long)rounds < 3) pthread_setspecific(key, (void *)((long)rounds + 1));
    else take(4);
}

static void *end_with_a_destructor(void *unused) {
    pthread_setspecific(key, (void *)1);
    return unused;
}

static void *one_of_many(void *number) {
    uint64_t mine = take(1);
    pthread_barrier_wait(&all_there);
    for (int i = 0; i < 50; i++) take_and_give(1);
    if ((long)number % 2 && give(mine)) _exit(94);
    return NULL;
}

static void many_threads(long count) {
    pthread_t threads[count];
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 64 << 10);
    pthread_barrier_init(&all_there, NULL, count);
    for (long i = 0; i < count; i++)
        if (pthread_create(&threads[i], &small, one_of_many, (void *)i)) _exit(95);
    for (long i = 0; i < count; i++) pthread_join(threads[i], NULL);
}

static volatile int handled;
static void on_signal(int number) {
    take_and_give(1);
    handled++;
}

static void interrupted(void) {
    struct itimerval often = {{0, 200}, {0, 200}};
    take(1);
    signal(SIGALRM, on_signal);
    raise(SIGALRM);
    setitimer(ITIMER_REAL, &often, NULL);
    while (handled < 300) take_and_give(1);
    memset(&often, 0, sizeof often);
    setitimer(ITIMER_REAL, &often, NULL);
}

static const char *trap;
static void at_exit(void) { take(1); }
__attribute__((destructor)) static void last(void) {
    if (trap && !strcmp(trap, "end")) take(2);
}
__attribute__((constructor)) static void first(void) {
    if (getenv("TRAP_FIRST")) take(16);
}

int main(int argc, char **argv) {
    trap = argv[1];
    const char *way = argc > 2 ? argv[2] : "";
    int status = 0;
    if (!strcmp(trap, "alone")) take(2);
    if (!strcmp(trap, "after")) take(1), status = child_of(way, argv), take(4);
    if (!strcmp(trap, "before")) status = child_of(way, argv), take(1);
    if (!strcmp(trap, "reopen")) reopen();
    if (!strcmp(trap, "threads")) take(1), many_threads(atol(way));
    if (!strcmp(trap, "signals")) interrupted();
    if (!strcmp(trap, "end")) {
        pthread_t thread;
        pthread_key_create(&key, in_last_round);
        atexit(at_exit);
        take(8);
        pthread_create(&thread, NULL, end_with_a_destructor, NULL);
        pthread_join(thread, NULL);
    }
    printf("%d\n", status);
}
