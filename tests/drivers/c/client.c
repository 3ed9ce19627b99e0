/* client LIBRARY [FUNCTION]: opens a library as a program would that uses it, and calls a function that makes it look
 * for the driver. The arguments fit all of those: room for what is made, a length, cuFFT's complex type, a count. */
#include <dlfcn.h>
#include <stdio.h>

static char room[1 << 16];

int main(int count, char **arguments) {
    void *library = count > 1 ? dlopen(arguments[1], RTLD_NOW) : NULL;
    if (!library) {
        fprintf(stderr, "%s\n", count > 1 ? dlerror() : "which library?");
        return 2;
    }
    if (count > 2) {
        int (*function)(void *, long, long, long) = dlsym(library, arguments[2]);
        if (!function) {
            fprintf(stderr, "%s\n", dlerror());
            return 2;
        }
        printf("%d\n", function(room, 16, 0x29, 1));
    }
    return 0;
}
