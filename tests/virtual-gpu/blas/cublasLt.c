/* No-op libcublasLt.so.13: what a caller reads back. Every other export is a weak stub that answers "success". */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { SUCCESS = 0, INVALID_VALUE = 7 };

/* Descriptors are written and never read, so one object stands for all of them. */
static long descriptor;

static int give(void **out) {
    *out = &descriptor;
    return SUCCESS;
}

int cublasLtCreate(void **handle) { return give(handle); }
int cublasLtMatmulDescCreate(void **out, int compute, int scale) { (void)compute, (void)scale; return give(out); }
int cublasLtMatmulPreferenceCreate(void **out) { return give(out); }
int cublasLtMatrixTransformDescCreate(void **out, int scale) { (void)scale; return give(out); }

int cublasLtMatrixLayoutCreate(void **out, int type, uint64_t rows, uint64_t columns, int64_t leading) {
    (void)type, (void)rows, (void)columns, (void)leading;
    return give(out);
}

/* cublasLtMatmulHeuristicResult_t */
struct heuristic {
    uint64_t algorithm[8];
    size_t workspace;
    int status;
    float waves;
    int reserved[4];
};

/* One algorithm always fits: a caller that gets none gives up. */
int cublasLtMatmulAlgoGetHeuristic(void *handle, void *compute, void *a, void *b, void *c, void *d, void *preference,
                                   int requested, struct heuristic *results, int *returned) {
    (void)handle, (void)compute, (void)a, (void)b, (void)c, (void)d, (void)preference;
    if (requested < 1 || !results || !returned) return INVALID_VALUE;
    memset(results, 0, sizeof *results);
    results->waves = 1.0f;
    *returned = 1;
    return SUCCESS;
}

size_t cublasLtGetVersion(void) { return 130401; }
size_t cublasLtGetCudartVersion(void) { return 13020; }

const char *cublasLtGetStatusName(int status) {
    return status == SUCCESS ? "CUBLAS_STATUS_SUCCESS" : "CUBLAS_STATUS_UNKNOWN";
}

const char *cublasLtGetStatusString(int status) { return status == SUCCESS ? "success" : "unknown"; }
