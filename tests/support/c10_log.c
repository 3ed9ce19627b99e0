/* An independent log of PyTorch's block reports, to hold memtrace's ledger against: preloaded before
 * libmemtrace.so, it writes each report down and hands it on. One file per process, C10_LOG/blocks.PID:
 * a count, then {pointer, signed bytes} pairs, in shared memory so that SIGKILL loses nothing. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define REPORT _ZN3c1027reportMemoryUsageToProfilerEPvlmmNS_6DeviceE
enum { CAPACITY = 1 << 22 };

struct entry {
    uint64_t pointer;
    int64_t bytes;
};

struct log {
    _Atomic uint64_t count;
    uint64_t unused;
    struct entry entries[CAPACITY];
};

static struct log *log_file;
static pid_t log_owner;

static struct log *open_log(void) {
    if (log_owner != getpid()) { /* the report runs under the allocator's mutex */
        char path[4096];
        log_owner = getpid();
        snprintf(path, sizeof path, "%s/blocks.%d", getenv("C10_LOG"), log_owner);
        int file = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
        if (file < 0 || ftruncate(file, sizeof *log_file) != 0) abort();
        log_file = mmap(NULL, sizeof *log_file, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        if (log_file == MAP_FAILED) abort();
        close(file);
    }
    return log_file;
}

void REPORT(void *pointer, int64_t bytes, size_t allocated, size_t reserved, uint16_t device) {
    static void (*next)(void *, int64_t, size_t, size_t, uint16_t);
    if ((device & 0xff) == 1) {
        struct log *log = open_log();
        uint64_t n = atomic_load(&log->count);
        if (n < CAPACITY) {
            log->entries[n] = (struct entry){(uint64_t)pointer, bytes};
            atomic_store(&log->count, n + 1);
        }
    }
    if (next == NULL) next = dlsym(RTLD_NEXT, "_ZN3c1027reportMemoryUsageToProfilerEPvlmmNS_6DeviceE");
    if (next != NULL) next(pointer, bytes, allocated, reserved, device);
}
