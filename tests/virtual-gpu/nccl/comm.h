/* The types of NCCL's interface that this library reads, and its communicator. */
#pragma once

#include <stddef.h>

enum result {
    SUCCESS = 0,
    CUDA_ERROR = 1,
    SYSTEM_ERROR = 2,
    INVALID_ARGUMENT = 4,
};

/* ncclUniqueId: passed by value. */
struct unique_id {
    char bytes[128];
};

struct comm {
    int rank;
    int count;
    int device;
    /* Ranks whose piece of a gathered buffer may be written: all, but after a split, where nobody knows how many chose
       the same colour, none but this one. */
    int pieces;
};
