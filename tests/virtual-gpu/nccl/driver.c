/* Finds the driver as NVIDIA's NCCL does: it is opened by name, and each function asked of cuGetProcAddress. */
#include "driver.h"

#include <dlfcn.h>
#include <pthread.h>

typedef int lookup(const char *name, void **address, int version, uint64_t flags, int *status);

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct driver found;
static const struct driver *whole;

static void find(void) {
    void *library = dlopen("libcuda.so.1", RTLD_NOW);
    lookup *look_up = library ? (lookup *)dlsym(library, "cuGetProcAddress_v2") : NULL;
    if (!look_up) return;
    int status;
#define ROW(name, version, arguments) \
    if (look_up(#name, (void **)&found.name, version, 0, &status) || !found.name) return;
    DRIVER_FUNCTIONS(ROW)
#undef ROW
    whole = &found;
}

const struct driver *driver(void) {
    pthread_once(&once, find);
    return whole;
}

int current_device(const struct driver *driver, int *device) {
    if (!driver->cuCtxGetDevice(device)) return 0;
    void *context;
    int failed = driver->cuInit(0);
    if (!failed) failed = driver->cuDevicePrimaryCtxRetain(&context, 0);
    if (!failed) failed = driver->cuCtxSetCurrent(context);
    return failed ? failed : driver->cuCtxGetDevice(device);
}
