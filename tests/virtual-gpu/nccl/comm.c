/* No-op libnccl.so.2: communicators. Each rank makes its own and meets nobody; none ever waits or fails later. */
#include "comm.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/random.h>

#include "driver.h"

enum { VERSION = 23007, CONFIG_MAGIC = 0xcafebeef, NO_COLOUR = -1 };

/* The head of ncclConfig_t, which every version has. */
struct config {
    size_t size;
    unsigned magic;
    unsigned version;
};

static enum result make(struct comm **out, struct comm what) {
    if (!out || what.count < 1 || what.rank < 0 || what.rank >= what.count) return INVALID_ARGUMENT;
    *out = malloc(sizeof **out);
    if (!*out) return SYSTEM_ERROR;
    **out = what;
    return SUCCESS;
}

static enum result join(struct comm **out, int count, int rank, const struct config *config) {
    if (config && config->magic != CONFIG_MAGIC) return INVALID_ARGUMENT;
    int device;
    if (!driver() || current_device(driver(), &device)) return CUDA_ERROR;
    return make(out, (struct comm){.rank = rank, .count = count, .device = device, .pieces = count});
}

static enum result end(struct comm *comm) {
    free(comm);
    return SUCCESS;
}

static enum result nothing(const struct comm *comm) { return comm ? SUCCESS : INVALID_ARGUMENT; }

static enum result tell(const struct comm *comm, int *out, int value) {
    if (!comm || !out) return INVALID_ARGUMENT;
    *out = value;
    return SUCCESS;
}

int ncclGetVersion(int *version) {
    if (!version) return INVALID_ARGUMENT;
    *version = VERSION;
    return SUCCESS;
}

int ncclGetUniqueId(struct unique_id *id) {
    if (!id) return INVALID_ARGUMENT;
    return getrandom(id, sizeof *id, 0) == sizeof *id ? SUCCESS : SYSTEM_ERROR;
}

int ncclCommGetUniqueId(struct comm *comm, struct unique_id *id) {
    return comm ? ncclGetUniqueId(id) : INVALID_ARGUMENT;
}

int ncclCommInitRank(struct comm **out, int count, struct unique_id id, int rank) {
    (void)id;
    return join(out, count, rank, NULL);
}

int ncclCommInitRankConfig(struct comm **out, int count, struct unique_id id, int rank, struct config *config) {
    (void)id;
    return join(out, count, rank, config);
}

int ncclCommInitRankScalable(struct comm **out, int count, int rank, int ids, struct unique_id *id,
                             struct config *config) {
    (void)ids, (void)id;
    return join(out, count, rank, config);
}

int ncclCommInitAll(struct comm **out, int count, const int *devices) {
    for (int rank = 0; rank < count; rank++) {
        int device = devices ? devices[rank] : rank;
        enum result made = make(&out[rank], (struct comm){rank, count, device, count});
        if (made) return made;
    }
    return SUCCESS;
}

/* The key orders the new ranks; callers that ask for rank k give k. */
int ncclCommSplit(struct comm *comm, int colour, int key, struct comm **out, struct config *config) {
    if (!comm || !out || (config && config->magic != CONFIG_MAGIC)) return INVALID_ARGUMENT;
    *out = NULL;
    if (colour == NO_COLOUR) return SUCCESS;
    int rank = key >= 0 && key < comm->count ? key : comm->rank;
    return make(out, (struct comm){.rank = rank, .count = comm->count, .device = comm->device, .pieces = 0});
}

int ncclCommShrink(struct comm *comm, int *excluded, int excluded_count, struct comm **out, struct config *config,
                   int flags) {
    (void)flags;
    if (!comm || (config && config->magic != CONFIG_MAGIC)) return INVALID_ARGUMENT;
    struct comm rest = *comm;
    for (int at = 0; at < excluded_count; at++) {
        rest.rank -= excluded[at] < comm->rank;
        rest.count--;
    }
    rest.pieces = comm->pieces ? rest.count : 0;
    return make(out, rest);
}

int ncclCommGrow(struct comm *comm, int count, const struct unique_id *id, int rank, struct comm **out,
                 struct config *config) {
    (void)id;
    return join(out, count, comm ? comm->rank : rank, config);
}

int ncclCommFinalize(struct comm *comm) { return nothing(comm); }
int ncclCommRevoke(struct comm *comm, int flags) { (void)flags; return nothing(comm); }
int ncclCommSuspend(struct comm *comm, int flags) { (void)flags; return nothing(comm); }
int ncclCommResume(struct comm *comm) { return nothing(comm); }
int ncclCommDestroy(struct comm *comm) { return end(comm); }
int ncclCommAbort(struct comm *comm) { return end(comm); }

int ncclCommCount(const struct comm *comm, int *count) { return tell(comm, count, comm ? comm->count : 0); }
int ncclCommUserRank(const struct comm *comm, int *rank) { return tell(comm, rank, comm ? comm->rank : 0); }
int ncclCommCuDevice(const struct comm *comm, int *device) { return tell(comm, device, comm ? comm->device : 0); }
int ncclCommGetAsyncError(struct comm *comm, int *error) { return tell(comm, error, SUCCESS); }

/* A communicator holds no memory of the card here. */
int ncclCommMemStats(struct comm *comm, int which, uint64_t *value) {
    (void)which;
    if (!comm || !value) return INVALID_ARGUMENT;
    *value = 0;
    return SUCCESS;
}

const char *ncclGetErrorString(int result) {
    switch (result) {
    case SUCCESS: return "no error";
    case CUDA_ERROR: return "unhandled cuda error (the virtual GPU's NCCL found no driver, or the driver refused)";
    case SYSTEM_ERROR: return "unhandled system error";
    case INVALID_ARGUMENT: return "invalid argument";
    default: return "not supported by the virtual GPU's NCCL";
    }
}

const char *ncclGetLastError(struct comm *comm) {
    (void)comm;
    return "";
}
