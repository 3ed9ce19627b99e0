/* No-op libcublas.so.13: what a caller reads back. Every other export is a weak stub that answers "success". */
#include <stdlib.h>

enum { SUCCESS = 0, ALLOCATION_FAILED = 3 };

/* A handle keeps what was set on it, and computes nothing. */
struct handle {
    void *stream;
    int math_mode;
    int pointer_mode;
    int atomics_mode;
};

int cublasCreate_v2(struct handle **out) {
    *out = calloc(1, sizeof **out);
    return *out ? SUCCESS : ALLOCATION_FAILED;
}

int cublasDestroy_v2(struct handle *handle) {
    free(handle);
    return SUCCESS;
}

int cublasSetStream_v2(struct handle *handle, void *stream) {
    handle->stream = stream;
    return SUCCESS;
}

int cublasGetStream_v2(struct handle *handle, void **stream) {
    *stream = handle->stream;
    return SUCCESS;
}

int cublasSetMathMode(struct handle *handle, int mode) {
    handle->math_mode = mode;
    return SUCCESS;
}

int cublasGetMathMode(struct handle *handle, int *mode) {
    *mode = handle->math_mode;
    return SUCCESS;
}

int cublasSetPointerMode_v2(struct handle *handle, int mode) {
    handle->pointer_mode = mode;
    return SUCCESS;
}

int cublasGetPointerMode_v2(struct handle *handle, int *mode) {
    *mode = handle->pointer_mode;
    return SUCCESS;
}

int cublasSetAtomicsMode(struct handle *handle, int mode) {
    handle->atomics_mode = mode;
    return SUCCESS;
}

int cublasGetAtomicsMode(struct handle *handle, int *mode) {
    *mode = handle->atomics_mode;
    return SUCCESS;
}

int cublasGetVersion_v2(struct handle *handle, int *version) {
    (void)handle;
    *version = 130401;
    return SUCCESS;
}

int cublasGetProperty(int which, int *value) {
    static const int version[] = {13, 4, 1};
    *value = which >= 0 && which < 3 ? version[which] : 0;
    return SUCCESS;
}

const char *cublasGetStatusName(int status) {
    return status == SUCCESS ? "CUBLAS_STATUS_SUCCESS" : "CUBLAS_STATUS_UNKNOWN";
}

const char *cublasGetStatusString(int status) {
    return status == SUCCESS ? "success" : "unknown";
}
