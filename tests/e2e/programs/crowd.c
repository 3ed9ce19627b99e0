// Takes and gives back by many threads at once, so that the driver gives out again what another thread is still
// giving back: `crowd PART`. Holds nothing at its end.
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 4, ROUNDS = 4000, SLOTS = 16, BOX = 1024, DEVICE = 1, PINNED = 1 };
#define GRANULE (2ul << 20)

typedef uint64_t word;
int cuInit(unsigned), cuDevicePrimaryCtxRetain(void **, int), cuCtxSetCurrent(void *);
int cuCtxCreate_v2(void **, unsigned, int), cuCtxDestroy_v2(void *);
int cuMemAlloc_v2(word *, size_t), cuMemFree_v2(word), cuMemFreeAsync(word, void *);
int cuMemPoolCreate(word *, const void *), cuMemPoolDestroy(word);
int cuMemAllocFromPoolAsync(word *, size_t, word, void *);
int cuMemCreate(word *, size_t, const void *, word), cuMemRelease(word), cuMemRetainAllocationHandle(word *, word);
int cuMemMap(word, size_t, size_t, word, word), cuMemUnmap(word, size_t);
int cuMemAddressReserve(word *, size_t, size_t, word, word), cuMemAddressFree(word, size_t);

static void must(int status) {
    if (status) abort();
}

static void *primary;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static word box[BOX];
static int in_box;

// Lays a block where any thread may find it; 0 takes one out.
static word pass(word block) {
    pthread_mutex_lock(&lock);
    if (block && in_box < BOX) box[in_box++] = block, block = 0;
    else if (!block && in_box) block = box[--in_box];
    pthread_mutex_unlock(&lock);
    return block;
}

static void give(word block) {
    if (block) must(cuMemFreeAsync(block, NULL));
}

// Contexts end while others take what lay in them.
static void contexts(unsigned *seed, word *held) {
    word *slot = &held[rand_r(seed) % SLOTS];
    if (rand_r(seed) % 16 == 0) {
        void *own;
        word in_it;
        must(cuCtxCreate_v2(&own, 0, 0));
        must(cuMemAlloc_v2(&in_it, GRANULE));
        must(cuCtxDestroy_v2(own));
        must(cuCtxSetCurrent(primary));
    } else if (*slot) {
        must(cuMemFree_v2(*slot));
        *slot = 0;
    } else {
        must(cuMemAlloc_v2(slot, GRANULE));
    }
}

// Pools are destroyed while others free what lies in them.
static void pools(unsigned *seed, word *held) {
    (void)held;
    if (rand_r(seed) % 4) return give(pass(0));
    struct { int kind, shares, place, id; word rest[9]; } props = {PINNED, 0, DEVICE, 0, {0}};
    word pool, block;
    must(cuMemPoolCreate(&pool, &props));
    for (int left = rand_r(seed) % 8; left; left--) {
        must(cuMemAllocFromPoolAsync(&block, 4096, pool, NULL));
        give(pass(block));
    }
    must(cuMemPoolDestroy(pool));
}

// A handle is released and retained, under a value that another thread's had a moment ago.
static void handles(unsigned *seed, word *held) {
    (void)seed, (void)held;
    struct { int kind, shares, place, id; word rest[3]; } props = {PINNED, 0, DEVICE, 0, {0}};
    word handle, again, va;
    must(cuMemCreate(&handle, GRANULE, &props, 0));
    must(cuMemAddressReserve(&va, GRANULE, 0, 0, 0));
    must(cuMemMap(va, GRANULE, 0, handle, 0));
    must(cuMemRelease(handle));
    must(cuMemRetainAllocationHandle(&again, va));
    must(cuMemUnmap(va, GRANULE));
    must(cuMemRelease(again));
    must(cuMemAddressFree(va, GRANULE));
}

static void (*part)(unsigned *, word *);

static void *work(void *number) {
    unsigned seed = 1 + (unsigned)(uintptr_t)number;
    word held[SLOTS] = {0};
    must(cuCtxSetCurrent(primary));
    for (int round = 0; round < ROUNDS; round++) part(&seed, held);
    for (int slot = 0; slot < SLOTS; slot++) give(held[slot]);
    return NULL;
}

int main(int argc, char **argv) {
    if (argc < 2) return 2;
    part = !strcmp(argv[1], "contexts") ? contexts : !strcmp(argv[1], "pools") ? pools : handles;
    must(cuInit(0));
    must(cuDevicePrimaryCtxRetain(&primary, 0));
    must(cuCtxSetCurrent(primary));
    pthread_t threads[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++) must(pthread_create(&threads[i], NULL, work, (void *)i));
    for (int i = 0; i < THREADS; i++) must(pthread_join(threads[i], NULL));
    for (word block; (block = pass(0));) give(block);
    return 0;
}
