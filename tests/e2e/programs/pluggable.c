/* An allocator for PyTorch's CUDAPluggableAllocator, as a user would write one. */
#include <stddef.h>

typedef int cudaError_t;
typedef struct CUstream_st *cudaStream_t;
cudaError_t cudaMalloc(void **address, size_t size);
cudaError_t cudaFree(void *address);

void *take(ptrdiff_t size, int device, cudaStream_t stream)
{
    void *address = NULL;
    (void)device;
    (void)stream;
    return cudaMalloc(&address, (size_t)size) == 0 ? address : NULL;
}

void give(void *address, ptrdiff_t size, int device, cudaStream_t stream)
{
    (void)size;
    (void)device;
    (void)stream;
    cudaFree(address);
}
