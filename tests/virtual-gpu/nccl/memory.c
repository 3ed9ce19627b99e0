/* No-op libnccl.so.2: memory that callers ask of NCCL, and buffers that they register with it.
   Allocations take the path of NVIDIA's: the driver's virtual memory, shareable by file descriptor. */
#include <stdlib.h>

#include "comm.h"
#include "driver.h"

enum { PINNED = 1, FILE_DESCRIPTOR = 1, ON_DEVICE = 1, READ_WRITE = 3, RECOMMENDED = 1 };

/* A registered buffer; NCCL calls it a window. */
struct window {
    void *buffer;
};

static enum result map(const struct driver *driver, uint64_t handle, size_t size, int device, void **out) {
    uint64_t address;
    if (driver->cuMemAddressReserve(&address, size, 0, 0, 0)) return CUDA_ERROR;
    if (driver->cuMemMap(address, size, 0, handle, 0)) {
        driver->cuMemAddressFree(address, size);
        return CUDA_ERROR;
    }
    struct access access = {ON_DEVICE, device, READ_WRITE};
    if (driver->cuMemSetAccess(address, size, &access, 1)) {
        driver->cuMemUnmap(address, size);
        driver->cuMemAddressFree(address, size);
        return CUDA_ERROR;
    }
    *out = (void *)address;
    return SUCCESS;
}

int ncclMemAlloc(void **out, size_t size) {
    const struct driver *d = driver();
    if (!out || size == 0) return INVALID_ARGUMENT;
    struct allocation what = {.kind = PINNED, .shareable_as = FILE_DESCRIPTOR, .location_kind = ON_DEVICE};
    size_t step;
    uint64_t handle;
    if (!d || current_device(d, &what.device)) return CUDA_ERROR;
    if (d->cuMemGetAllocationGranularity(&step, &what, RECOMMENDED)) return CUDA_ERROR;
    size = (size + step - 1) / step * step;
    if (d->cuMemCreate(&handle, size, &what, 0)) return CUDA_ERROR;
    enum result result = map(d, handle, size, what.device, out);
    /* From here on the mapping holds the memory. */
    d->cuMemRelease(handle);
    return result;
}

int ncclMemFree(void *address) {
    const struct driver *d = driver();
    if (!address) return SUCCESS;
    uint64_t base;
    size_t size;
    if (!d || d->cuMemGetAddressRange(&base, &size, (uint64_t)address)) return CUDA_ERROR;
    if (d->cuMemUnmap(base, size) || d->cuMemAddressFree(base, size)) return CUDA_ERROR;
    return SUCCESS;
}

static enum result enter(const struct comm *comm, void *buffer, void **out) {
    if (!comm || !buffer || !out) return INVALID_ARGUMENT;
    struct window *window = malloc(sizeof *window);
    if (!window) return SYSTEM_ERROR;
    window->buffer = buffer;
    *out = window;
    return SUCCESS;
}

static enum result leave(const struct comm *comm, void *window) {
    if (!comm) return INVALID_ARGUMENT;
    free(window);
    return SUCCESS;
}

int ncclCommRegister(const struct comm *comm, void *buffer, size_t size, void **handle) {
    (void)size;
    return enter(comm, buffer, handle);
}

int ncclCommDeregister(const struct comm *comm, void *handle) { return leave(comm, handle); }

int ncclCommWindowRegister(struct comm *comm, void *buffer, size_t size, void **window, int flags) {
    (void)size, (void)flags;
    return enter(comm, buffer, window);
}

int ncclCommWindowDeregister(struct comm *comm, void *window) { return leave(comm, window); }

int ncclWinGetUserPtr(struct comm *comm, struct window *window, void **buffer) {
    if (!comm || !window || !buffer) return INVALID_ARGUMENT;
    *buffer = window->buffer;
    return SUCCESS;
}
