/* No-op libnccl.so.2: collectives. Nothing passes between ranks. A rank gets what it would get if every other rank had
   sent the same as itself, and nothing were added up; what comes from one other rank is left as it lies. */
#include <stdint.h>

#include "comm.h"
#include "driver.h"

/* Bytes of each ncclDataType_t, in its order. */
static const size_t sizes[] = {1, 1, 4, 4, 8, 8, 2, 4, 8, 2, 1, 1};

static enum result size_of(size_t *size, size_t count, int type) {
    if (type < 0 || type >= (int)(sizeof sizes / sizeof *sizes)) return INVALID_ARGUMENT;
    *size = count * sizes[type];
    return SUCCESS;
}

static enum result copy(char *to, const char *from, size_t size, void *stream) {
    if (to == from || size == 0) return SUCCESS;
    if (!driver()) return CUDA_ERROR;
    return driver()->cuMemcpyAsync((uint64_t)to, (uint64_t)from, size, stream) ? CUDA_ERROR : SUCCESS;
}

/* `from`, `size` bytes, as every rank's piece of `to`. This rank's comes first: `from` may lie in it. */
static enum result spread(char *to, const char *from, size_t size, const struct comm *comm, void *stream) {
    enum result result = copy(to + comm->rank * size, from, size, stream);
    for (int rank = 0; rank < comm->pieces && result == SUCCESS; rank++) {
        if (rank != comm->rank) result = copy(to + rank * size, from, size, stream);
    }
    return result;
}

int ncclAllReduce(const void *send, void *receive, size_t count, int type, int op, struct comm *comm, void *stream) {
    (void)op;
    size_t size;
    if (!comm || size_of(&size, count, type)) return INVALID_ARGUMENT;
    return copy(receive, send, size, stream);
}

int ncclReduce(const void *send, void *receive, size_t count, int type, int op, int root, struct comm *comm,
               void *stream) {
    (void)op;
    size_t size;
    if (!comm || size_of(&size, count, type)) return INVALID_ARGUMENT;
    return comm->rank == root ? copy(receive, send, size, stream) : SUCCESS;
}

int ncclBroadcast(const void *send, void *receive, size_t count, int type, int root, struct comm *comm, void *stream) {
    return ncclReduce(send, receive, count, type, 0, root, comm, stream);
}

int ncclBcast(void *buffer, size_t count, int type, int root, struct comm *comm, void *stream) {
    return ncclBroadcast(buffer, buffer, count, type, root, comm, stream);
}

int ncclReduceScatter(const void *send, void *receive, size_t count, int type, int op, struct comm *comm,
                      void *stream) {
    (void)op;
    size_t size;
    if (!comm || size_of(&size, count, type)) return INVALID_ARGUMENT;
    return copy(receive, (const char *)send + comm->rank * size, size, stream);
}

int ncclAllGather(const void *send, void *receive, size_t count, int type, struct comm *comm, void *stream) {
    size_t size;
    if (!comm || size_of(&size, count, type)) return INVALID_ARGUMENT;
    return spread(receive, send, size, comm, stream);
}

int ncclGather(const void *send, void *receive, size_t count, int type, int root, struct comm *comm, void *stream) {
    size_t size;
    if (!comm || size_of(&size, count, type)) return INVALID_ARGUMENT;
    return comm->rank == root ? spread(receive, send, size, comm, stream) : SUCCESS;
}

int ncclScatter(const void *send, void *receive, size_t count, int type, int root, struct comm *comm, void *stream) {
    size_t size;
    if (!comm || size_of(&size, count, type)) return INVALID_ARGUMENT;
    return comm->rank == root ? copy(receive, (const char *)send + comm->rank * size, size, stream) : SUCCESS;
}

int ncclAlltoAll(const void *send, void *receive, size_t count, int type, struct comm *comm, void *stream) {
    size_t size;
    if (!comm || size_of(&size, count, type)) return INVALID_ARGUMENT;
    return spread(receive, (const char *)send + comm->rank * size, size, comm, stream);
}

int ncclSend(const void *send, size_t count, int type, int peer, struct comm *comm, void *stream) {
    (void)send, (void)peer, (void)stream;
    size_t size;
    return comm ? size_of(&size, count, type) : INVALID_ARGUMENT;
}

int ncclRecv(void *receive, size_t count, int type, int peer, struct comm *comm, void *stream) {
    return ncclSend(receive, count, type, peer, comm, stream);
}

/* A group's calls were done when they were made. */
int ncclGroupStart(void) { return SUCCESS; }
int ncclGroupEnd(void) { return SUCCESS; }

/* ncclSimInfo_t */
struct estimate {
    size_t size;
    unsigned magic;
    unsigned version;
    float time;
};

int ncclGroupSimulateEnd(struct estimate *estimate) {
    if (!estimate) return INVALID_ARGUMENT;
    estimate->time = 0;
    return SUCCESS;
}

int ncclRedOpCreatePreMulSum(int *op, void *scalar, int type, int residence, struct comm *comm) {
    (void)scalar, (void)type, (void)residence;
    if (!op || !comm) return INVALID_ARGUMENT;
    *op = 5; /* the first number after the built-in operations */
    return SUCCESS;
}

int ncclRedOpDestroy(int op, struct comm *comm) {
    (void)op;
    return comm ? SUCCESS : INVALID_ARGUMENT;
}
