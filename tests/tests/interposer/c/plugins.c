// Opens and closes a plugin, and something else where it was.
#include <dlfcn.h>
#include <stdio.h>

int main(void) {
    for (int i = 0; i < 3; i++) {
        void *plugin = dlopen("./libplugin.so", RTLD_NOW);
        printf("%d\n", ((int (*)(void))dlsym(plugin, "use_driver"))());
        dlclose(plugin);
        dlopen("./libtwo.so", RTLD_NOW);
    }
}
