/* What the no-op NCCL asks of the driver: one row, one function, with the version of its signature. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* CUmemAllocationProp. */
struct allocation {
    int kind;
    int shareable_as;
    int location_kind;
    int device;
    void *security;
    unsigned char flags[8];
};

/* CUmemAccessDesc. */
struct access {
    int location_kind;
    int device;
    int rights;
};

#define DRIVER_FUNCTIONS(ROW)                                                                     \
    ROW(cuInit, 2000, (unsigned flags))                                                           \
    ROW(cuDevicePrimaryCtxRetain, 7000, (void **context, int device))                             \
    ROW(cuCtxSetCurrent, 4000, (void *context))                                                   \
    ROW(cuCtxGetDevice, 2000, (int *device))                                                      \
    ROW(cuMemcpyAsync, 4000, (uint64_t to, uint64_t from, size_t size, void *stream))             \
    ROW(cuMemGetAllocationGranularity, 10020,                                                     \
        (size_t *granularity, const struct allocation *what, int option))                         \
    ROW(cuMemCreate, 10020,                                                                       \
        (uint64_t *handle, size_t size, const struct allocation *what, uint64_t flags))           \
    ROW(cuMemAddressReserve, 10020,                                                               \
        (uint64_t *address, size_t size, size_t alignment, uint64_t wish, uint64_t flags))        \
    ROW(cuMemMap, 10020,                                                                          \
        (uint64_t address, size_t size, size_t offset, uint64_t handle, uint64_t flags))          \
    ROW(cuMemSetAccess, 10020,                                                                    \
        (uint64_t address, size_t size, const struct access *access, size_t count))               \
    ROW(cuMemGetAddressRange, 3020, (uint64_t *base, size_t *size, uint64_t address))             \
    ROW(cuMemRelease, 10020, (uint64_t handle))                                                   \
    ROW(cuMemUnmap, 10020, (uint64_t address, size_t size))                                       \
    ROW(cuMemAddressFree, 10020, (uint64_t address, size_t size))

struct driver {
#define ROW(name, version, arguments) int(*name) arguments;
    DRIVER_FUNCTIONS(ROW)
#undef ROW
};

/* The driver, or null where there is none or it lacks a function. */
const struct driver *driver(void);

/* The thread's current card. Starts the driver with the first card where nothing is current, as a runtime would. */
int current_device(const struct driver *driver, int *device);
