// Goes elsewhere before it uses the driver, as Hydra's jobs do.
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

int cuInit(unsigned), cuMemAlloc_v2(uint64_t *, uint64_t);

int main(void) {
    uint64_t address;
    if (chdir("/")) return 1;
    int init = cuInit(0);
    printf("%d %d\n", init, cuMemAlloc_v2(&address, 4096));
}
